"""The engine that the Beam steps run on: from the configuration to Beam's own options."""

import argparse
import os
import shutil
import socket
from typing import NoReturn

from diptych.schemas.config.beam import CLUSTER_OPTION, Beam, cluster_address
from diptych.schemas.errors import ConfigError

_RUNNERS = {
    # DirectRunner would first try to download another runner; this is its in-process engine.
    "local": "apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    "flink": "FlinkRunner",
    "dataflow": "DataflowRunner",
    "spark": "SparkRunner",
}
# Known to Beam's job server only; those that matter to runs that end. ``None``: a flag.
_OF_JOB_SERVER = {
    "execution_mode_for_batch": str,
    "execution_retry_delay": int,
    "number_of_execution_retries": int,
    "object_reuse": None,
}
_PACKAGES = {"sdk_container_image", "extra_package", "setup_file", "requirements_file"}
_WORKERS_LIVE_MS = 60_000  # unused; without it, Flink and Spark start new ones for each stage
_CONNECT_TIMEOUT_S = 5
_MOST_THREADS = 8  # each takes a worker's memory


def beam_args(beam: Beam) -> list[str]:
    """The arguments that each Beam step is given.

    Raises:
      ConfigError: an option that Beam does not know, or a value that does not fit it.
    """
    options = {"runner": _RUNNERS[beam.runner], **_defaults(beam), **beam.options}
    if not options.keys() & _PACKAGES:
        # Without a word on the workers' packages, TFX builds one at each step, 1.6 s of nothing:
        # the workers run in this process, or in an environment that has Diptych.
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
                f"beam.options.{name} is a flag: true, or leave it out, got {value!r}."
            )
        values = value if isinstance(value, list) else [value]
        args += [flag] if flag in flags else [f"{flag}={item}" for item in values]
    _, unknown = parser.parse_known_args(args)
    if unknown:
        names = ", ".join(arg.removeprefix("--").partition("=")[0] for arg in unknown)
        raise ConfigError(
            f"beam.options: Beam has no option {names}. They are named as on Beam's command line, "
            "without the dashes."
        )
    return args


def thread_args(beam: Beam) -> list[str]:
    """More arguments, for a step that works on whole arrays: NumPy and Arrow let threads run."""
    if beam.runner != "local":
        return []
    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    return ["--direct_running_mode=multi_threading", f"--direct_num_workers={threads}"]


def check_reachable(beam: Beam) -> None:
    """Finds out before any work what Beam would say late: each step would wait for a minute.

    Raises:
      ConfigError: the cluster does not answer, or there is no Java for Beam's job server.
    """
    if beam.runner not in CLUSTER_OPTION:
        return
    option = CLUSTER_OPTION[beam.runner]
    address = beam.options[option]
    try:
        socket.create_connection(cluster_address(str(address)), _CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ConfigError(
            f"Cannot reach the {beam.runner.capitalize()} cluster at {address}: {error}. Start it, "
            f"mend beam.options.{option}, or set beam.runner=local to do without."
        ) from error
    if "job_endpoint" not in beam.options and shutil.which("java") is None:
        raise ConfigError(
            f"beam.runner {beam.runner} needs Java on PATH, for Beam's job server. Install "
            "Java 17, or name a job server that runs elsewhere as beam.options.job_endpoint."
        )


def _defaults(beam: Beam) -> dict[str, object]:
    if beam.runner == "local":
        return {"direct_running_mode": "in_memory"}
    if beam.runner in CLUSTER_OPTION:
        # A cluster on another machine needs its own workers, so ``Beam`` asks for them.
        return {"environment_type": "LOOPBACK", "environment_cache_millis": _WORKERS_LIVE_MS}
    return {}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"beam.options: {message}.")


def _beam_parser(beam: Beam) -> _Parser:
    """All options of the engine; Beam itself drops others, with a line in the log."""
    from apache_beam.options.pipeline_options import PipelineOptions

    # Groups of options may share a name; Beam, too, lets the last win.
    parser = _Parser(prog="beam", add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for group in PipelineOptions.__subclasses__():
        group._add_argparse_args(parser)
    if beam.runner in CLUSTER_OPTION:
        for name, kind in _OF_JOB_SERVER.items():
            if kind is None:
                parser.add_argument(f"--{name}", action="store_true")
            else:
                parser.add_argument(f"--{name}", type=kind)
    return parser
