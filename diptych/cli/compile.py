"""``diptych compile``: the pipeline as a file for an orchestrator."""

import importlib
from collections.abc import Callable
from pathlib import Path

import click

from diptych.pipeline.runners.compile_request import CompileRequest

# Each has a function ``compiled(request) -> str``: the text of the file.
_COMPILERS = {
    "airflow": "diptych.pipeline.runners.airflow.compiling",
    "kubeflow": "diptych.pipeline.runners.kubeflow.compiling",
}


@click.command("compile")
@click.option("--runner", type=click.Choice(sorted(_COMPILERS)), required=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="File to write; one that is there is replaced.",
)
@click.option("--image", help="Container image that has Diptych; the steps run in it.")
@click.option(
    "--volume",
    "volumes",
    multiple=True,
    metavar="CLAIM:/PATH",
    help="Persistent volume claim to mount in every step; may be repeated.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of pushed models, and of all else that outlives a run, where the steps run.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY.PATH=VALUE",
    help="Overrides a value of the configuration; may be repeated.",
)
@click.argument("config", type=click.Path(path_type=Path))
def compile_pipeline(
    config: Path,
    runner: str,
    out: Path,
    image: str | None,
    volumes: tuple[str, ...],
    root: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Writes the pipeline that CONFIG describes as a file for an orchestrator.

    The same configuration gives the same bytes.
    """
    from diptych.cli.quiet import quietly
    from diptych.schemas.config.loading import load_config
    from diptych.schemas.errors import ConfigError
    from diptych.schemas.files import whole_file

    with quietly():
        request = CompileRequest(
            config, settings, load_config(config, settings), root, image, volumes
        )
        compiled: Callable[[CompileRequest], str] = importlib.import_module(
            _COMPILERS[runner]
        ).compiled
        text = compiled(request)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(out) as beside:
                beside.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"Cannot write {out}: {error.strerror}.") from error
    click.echo(f"Wrote {out}")
