"""``diptych rollback``."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diptych.cli.errors import explained

if TYPE_CHECKING:
    from diptych.schemas.manifest import ModelManifest


@click.command()
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that diptych run was given: rolls back what its runs have pushed. "
    "Default: the only one here or directly below.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of pushed versions, in place of a root.",
)
def rollback(root: Path | None, model: Path | None) -> None:
    """Puts the version before the newest into production again.

    The newest is moved to .rolled-back in the folder of versions, and that model is not pushed
    again. Whoever serves the newest version, as diptych serve does, serves the one before within
    a second.
    """
    if root is not None and model is not None:
        raise click.UsageError("Say --root or --model, not both.")
    with explained():
        from diptych.pipeline.lock import only_one
        from diptych.pipeline.nightly.rollback import pushed_into, roll_back
        from diptych.pipeline.workspace import DATABASE, find_root

        # Versions lie in their root, unless push.path says otherwise.
        place = find_root(root) if model is None else model.absolute().parent
        known = (place / DATABASE).is_file()
        with only_one(place) if known else contextlib.nullcontext():
            done = roll_back(pushed_into(place) if model is None else model)
    click.echo(f"Rolled back    {_described(done.former)}")
    click.echo(f"In production  {_described(done.current)}")
    click.echo(f"Kept           {done.kept}")


def _described(manifest: "ModelManifest") -> str:
    figures = "".join(f", {name} {value:.4g}" for name, value in manifest.figures.items())
    return f"{manifest.name}, version {manifest.version} of {manifest.created}{figures}"
