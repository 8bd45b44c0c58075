"""``diptych compile``: compile the pipeline to a file for an orchestrator."""

import importlib
from collections.abc import Callable
from pathlib import Path

import click

from diptych.cli.options import set_option
from diptych.cli.path_type import FilePath
from diptych.cli.terminal_text import escape_control

# Module and function; the function returns the text of the file.
_COMPILERS = {
    "airflow": ("diptych.pipeline.runners.airflow.compiling", "compile_dag"),
    "kubeflow": ("diptych.pipeline.runners.kubeflow.compiling", "compile_kubeflow_pipeline"),
}


@click.command("compile", short_help="Compile the pipeline for Airflow or Kubeflow.")
@click.option(
    "--runner", type=click.Choice(sorted(_COMPILERS)), required=True, help="Orchestrator."
)
@click.option(
    "--out",
    type=FilePath(dir_okay=False),
    required=True,
    help="File to write; an existing file is replaced.",
)
@click.option("--image", help="Container image with Diptych, in which the steps run.")
@click.option(
    "--volume",
    "volumes",
    multiple=True,
    metavar="CLAIM:/PATH",
    help="Persistent volume claim to mount in every step; may be repeated.",
)
@click.option(
    "--root",
    type=FilePath(file_okay=False),
    help="Folder, where the steps run, of pushed models and of everything else that outlives a "
    "run.",
)
@set_option
@click.argument("config", type=FilePath())
def compile_command(
    config: Path,
    runner: str,
    out: Path,
    image: str | None,
    volumes: tuple[str, ...],
    root: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Compile the pipeline that CONFIG describes to a file for an orchestrator.

    The same configuration always compiles to the same bytes.
    """
    from diptych.cli.console import hide_library_output
    from diptych.pipeline.runners.compile_request import CompileRequest
    from diptych.schemas.config.loading import load_config
    from diptych.schemas.errors import ConfigError
    from diptych.schemas.files import atomic_write

    with hide_library_output():
        request = CompileRequest(
            config, settings, load_config(config, settings), root, image, volumes
        )
        module, function = _COMPILERS[runner]
        compile_pipeline: Callable[[CompileRequest], str] = getattr(
            importlib.import_module(module), function
        )
        text = compile_pipeline(request)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(out) as tmp_path:
                tmp_path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"Cannot write {out}: {error.strerror}.") from error
    click.echo(f"Wrote {escape_control(str(out))}")
