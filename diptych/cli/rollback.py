"""``diptych rollback``: put the previous version of a pushed model into production again."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diptych.cli.errors import exit_on_error
from diptych.cli.path_type import FilePath
from diptych.cli.terminal_text import escape_control

if TYPE_CHECKING:
    from diptych.schemas.manifest import ModelManifest


@click.command("rollback", short_help="Put the previous version into production again.")
@click.option(
    "--root",
    type=FilePath(file_okay=False),
    help="Pipeline root whose newest pushed version is rolled back. Default: the only one in the "
    "working directory or its subfolders.",
)
@click.option(
    "--model",
    type=FilePath(file_okay=False),
    help="Folder of pushed versions, instead of a pipeline root.",
)
def rollback_command(root: Path | None, model: Path | None) -> None:
    """Put the previous version of a pushed model into production again.

    The newest version moves to .rolled-back in the folder of versions, and the same model is not
    pushed again. A service of the newest version, such as diptych serve, switches to the previous
    one within a second.
    """
    if root is not None and model is not None:
        raise click.UsageError("Use --root or --model, not both.")
    with exit_on_error():
        from diptych.pipeline.lock import lock_root
        from diptych.pipeline.nightly.rollback import find_serving_folder, roll_back
        from diptych.pipeline.workspace import DATABASE, find_root

        # The folder of versions is in the root, unless push.path is set.
        root = find_root(root) if model is None else model.absolute().parent
        is_root = (root / DATABASE).is_file()
        with lock_root(root) if is_root else contextlib.nullcontext():
            result = roll_back(find_serving_folder(root) if model is None else model)
    click.echo(f"Rolled back    {_describe_version(result.rolled_back)}")
    click.echo(f"In production  {_describe_version(result.production)}")
    click.echo(f"Kept           {escape_control(str(result.moved_to))}")


def _describe_version(manifest: "ModelManifest") -> str:
    metrics = "".join(f", {name} {value:.4g}" for name, value in manifest.metrics.items())
    return f"{manifest.name}, version {manifest.version} of {manifest.created}{metrics}"
