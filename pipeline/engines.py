"""Beam engines: convert the section ``beam`` of the configuration to Beam's pipeline options."""

import argparse
import os
import shutil
import socket
from pathlib import Path
from typing import NoReturn

from diptych.components.common.plain_paths import has_wildcards
from diptych.schemas.config.beam import CLUSTER_OPTIONS, BeamConfig, cluster_address
from diptych.schemas.errors import ConfigError

_RUNNERS = {
    # DirectRunner would first try to download another runner; this is its in-process runner.
    "local": "diptych.components.common.loopback_runner.LoopbackRunner",
    "flink": "FlinkRunner",
    "dataflow": "DataflowRunner",
    "spark": "SparkRunner",
}
# Options of Beam's job server that apply to batch pipelines, with their types; None: a flag.
_JOB_SERVER_OPTIONS = {
    "execution_mode_for_batch": str,
    "execution_retry_delay": int,
    "number_of_execution_retries": int,
    "object_reuse": None,
}
_PACKAGE_OPTIONS = {"sdk_container_image", "extra_package", "setup_file", "requirements_file"}
_ENVIRONMENT_CACHE_MS = 60_000  # else Flink and Spark start new workers for each stage
_CONNECT_TIMEOUT_S = 5
_MAX_THREADS = 8  # each uses the memory of a worker


def beam_args(beam: BeamConfig) -> list[str]:
    """Build the pipeline options of the Beam steps.

    Raises:
      ConfigError: If Beam has no such option, or does not accept its value.
    """
    from diptych.components.common import beam_files  # changes how this process reads patterns

    options = {
        "runner": _RUNNERS[beam.runner],
        "beam_plugin": beam_files.__name__,
        **_default_options(beam),
        **beam.options,
    }
    if not options.keys() & _PACKAGE_OPTIONS:
        # Without a package option, TFX builds a package of Diptych at each step, which takes 1.6 s.
        # It is not needed: workers run in this process, or in an environment with Diptych.
        options["sdk_container_image"] = "in-process"
    parser = _beam_parser(beam)
    flags = {
        name for action in parser._actions if action.nargs == 0 for name in action.option_strings
    }
    args = []
    for name, value in options.items():
        flag = f"--{name}"
        if flag in flags and value is not True:
            raise ConfigError(
                f"beam.options.{name} is a flag: expected true, got {value!r}. To disable it, "
                "remove the option."
            )
        values = value if isinstance(value, list) else [value]
        args += [flag] if flag in flags else [f"{flag}={item}" for item in values]
    _, unknown = parser.parse_known_args(args)
    if unknown:
        names = ", ".join(arg.removeprefix("--").partition("=")[0] for arg in unknown)
        raise ConfigError(
            f"beam.options: Beam has no option {names}. Use the names of Beam's command line, "
            "without the dashes."
        )
    return args


def thread_args(beam: BeamConfig) -> list[str]:
    """Build options for a step that processes large arrays: NumPy and Arrow release the GIL."""
    if beam.runner != "local":
        return []
    threads = min(os.cpu_count() or 1, _MAX_THREADS)
    return ["--direct_running_mode=multi_threading", f"--direct_num_workers={threads}"]


def check_reachable(beam: BeamConfig, folder: Path) -> None:
    """Check that the cluster of an engine responds; Beam would wait for a minute in each step.

    Args:
      beam: Settings of the engine.
      folder: Folder that the workers write to.

    Raises:
      ConfigError: If the cluster does not respond, Java is missing for Beam's job server, or
        workers would read the name of the folder as a pattern.
    """
    if beam.runner != "local" and has_wildcards(folder):
        raise ConfigError(
            f"The path {folder} contains one of * ? [ \\, which workers of {beam.runner} would "
            "read as a pattern. Choose another path, or set beam.runner=local."
        )
    if beam.runner not in CLUSTER_OPTIONS:
        return
    option = CLUSTER_OPTIONS[beam.runner]
    address = beam.options[option]
    try:
        socket.create_connection(cluster_address(str(address)), _CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ConfigError(
            f"Cannot reach the {beam.runner.capitalize()} cluster at {address}: {error}. Start it, "
            f"correct beam.options.{option}, or set beam.runner=local."
        ) from error
    if "job_endpoint" not in beam.options and shutil.which("java") is None:
        raise ConfigError(
            f"beam.runner {beam.runner} needs Java on PATH, for Beam's job server. Install "
            "Java 17, or set beam.options.job_endpoint to the address of another job server."
        )


def _default_options(beam: BeamConfig) -> dict[str, object]:
    if beam.runner == "local":
        return {"direct_running_mode": "in_memory"}
    if beam.runner in CLUSTER_OPTIONS:
        # ``BeamConfig`` requires another environment for a cluster on another machine.
        return {"environment_type": "LOOPBACK", "environment_cache_millis": _ENVIRONMENT_CACHE_MS}
    return {}


class _OptionParser(argparse.ArgumentParser):
    """Argument parser that raises ConfigError instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"beam.options: {message}.")


def _beam_parser(beam: BeamConfig) -> _OptionParser:
    """Build a parser of all options of the engine; Beam itself ignores unknown ones."""
    from apache_beam.options.pipeline_options import PipelineOptions

    # Option groups may share a name; the last one wins, as in Beam.
    parser = _OptionParser(
        prog="beam", add_help=False, allow_abbrev=False, conflict_handler="resolve"
    )
    for group in PipelineOptions.__subclasses__():
        group._add_argparse_args(parser)
    if beam.runner in CLUSTER_OPTIONS:
        for name, value_type in _JOB_SERVER_OPTIONS.items():
            if value_type is None:
                parser.add_argument(f"--{name}", action="store_true")
            else:
                parser.add_argument(f"--{name}", type=value_type)
    return parser
