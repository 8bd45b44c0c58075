"""The commands of galleries: new classes without retraining."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diptych.cli.model_option import load_model, model_option
from diptych.cli.terminal_text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from diptych.inference.enroll import Report
    from diptych.inference.gallery import Gallery
    from diptych.inference.identify import Identified
    from diptych.inference.pushed_model import PushedModel

_LISTED = 10
_A_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("gallery", type=_A_PATH)
@click.argument("paths", type=_A_PATH, nargs=-1, metavar="[PATH]...")
@click.option("--label", help="Of all examples. Default: their folders, or the label column.")
@click.option("--remove", multiple=True, metavar="LABEL", help="Removes a class; may be repeated.")
@click.option(
    "--re-embed",
    is_flag=True,
    help="Where another model made the gallery: embeds all its examples by this one.",
)
@model_option
def enroll(
    gallery: Path,
    paths: tuple[Path, ...],
    label: str | None,
    remove: tuple[str, ...],
    re_embed: bool,
    model: Path | None,
) -> None:
    """Adds labelled examples to a gallery: new classes without retraining.

    GALLERY is a folder, made if it is not there. A PATH is a folder of images with a folder for
    each class, a table with the label column, or, with --label, anything with examples: an image,
    a folder of them, a table, a row of one (birds.csv:12). What was enrolled before under the same
    label adds nothing.

    Exit code 0 if all examples that can be used are in the gallery now; 1 if not, or if an example
    is there already under another label.
    """
    from diptych.cli.quiet import quietly

    if not (paths or remove or re_embed):
        raise click.UsageError("Nothing to do: name a PATH, --remove LABEL, or --re-embed.")
    with quietly() as console:
        from diptych.inference.enroll import Report, enroll
        from diptych.inference.gallery import Gallery

        pushed = load_model(model)
        report = Report()
        if re_embed:
            with _counting(console, "embedded anew") as progress:
                content = Gallery.re_embed(gallery, pushed, progress)
        elif paths:
            content = Gallery.create_or_open(gallery, pushed)
        else:
            content = Gallery.open(gallery, pushed)
        removed = {name: content.remove(name) for name in remove}
        if paths:
            with _counting(console, "enrolled") as progress:
                report = enroll(content, pushed, paths, label, progress)
    for name, number in removed.items():
        click.echo(f"Removed     {number:,} of {shown(name)}")
    if paths:
        _tell(report)
    _tell_gallery(content, pushed)
    if report.contradictions or (paths and not report.added + report.known):
        raise SystemExit(1)


@click.command()
@click.argument("gallery", type=_A_PATH)
@click.argument("path", type=_A_PATH)
@click.option("--k", type=click.IntRange(1, 1000), default=5, show_default=True, help="Classes.")
@click.option("--out", type=_A_PATH, metavar="FILE.parquet", help="Writes all rows to a table.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON an example, for programs.")
@model_option
def identify(
    gallery: Path, path: Path, k: int, out: Path | None, as_json: bool, model: Path | None
) -> None:
    """Says which class of a gallery an example is, or that it is unknown.

    PATH is an image or a row of a table (birds.csv:12), or a folder or table of many. Lists the K
    nearest classes, by the distance to their nearest example. Where even the nearest is farther
    than the model's threshold, the class is unknown.

    Exit code 0 for an answer, also if that is unknown; 1 where no answer can be given.
    """
    from diptych.cli.quiet import quietly

    rejected: list[tuple[str, str]] = []
    with quietly() as console:
        from diptych.inference import identify as of_path
        from diptych.inference.gallery import Gallery

        pushed = load_model(model)
        content = Gallery.open(gallery, pushed)
        blocks = of_path.identify(content, pushed, path, k, rejected)
        if out is not None:
            with _counting(console, "identified") as progress:
                rows = of_path.write_table(_counted(blocks, progress), out)
            click.echo(f"Wrote {out}: {rows:,} rows")
        elif as_json:
            for block in blocks:
                for one in block:
                    click.echo(json.dumps(_for_programs(one, pushed)))
        elif of_path.is_one(path):
            for (one,) in blocks:
                _tell_one(one, pushed)
        else:
            for block in blocks:
                for one in block:
                    _tell_row(one)
    _tell_rejected(rejected)


def _tell(report: "Report") -> None:
    click.echo(f"Added       {report.added:,}")
    click.echo(f"Known       {report.known:,}, as before")
    _tell_rejected(report.rejected)
    if report.contradictions:
        click.echo(
            f"Not added   {len(report.contradictions):,}, there under another label:", err=True
        )
        for one in report.contradictions[:_LISTED]:
            line = f"{one.source}: {one.known_as}, and now {one.label}"
            click.echo(f"  {shown(line)}", err=True)
        _tell_more(report.contradictions)


def _tell_rejected(rejected: Sequence[tuple[str, str]]) -> None:
    if rejected:
        click.echo(f"Rejected    {len(rejected):,}", err=True)
        for source, reason in rejected[:_LISTED]:
            click.echo(f"  {shown(f'{source}: {reason}')}", err=True)
        _tell_more(rejected)


def _tell_more(lines: Sequence[object]) -> None:
    if len(lines) > _LISTED:
        click.echo(f"  and {len(lines) - _LISTED:,} more", err=True)


def _tell_gallery(content: "Gallery", model: "PushedModel") -> None:
    name = f"{model.manifest.name} version {model.version}"
    click.echo(
        f"Gallery     {shown(str(content.folder))}: {len(content):,} examples of "
        f"{len(content.labels):,} classes, of the model {name}"
    )


def _tell_one(one: "Identified", model: "PushedModel") -> None:
    click.echo("unknown" if one.label is None else shown(one.label))
    for candidate in one.candidates:
        same = "same" if candidate.same else "different"
        name = shown(f"{candidate.label}  ({candidate.source})")
        click.echo(f"  {candidate.distance:.4f}  {same:<9}  {name}")
    click.echo(f"  threshold  {model.threshold:.4f}, calibrated")
    click.echo(f"  model      {model.manifest.name}, version {model.version}")


def _tell_row(one: "Identified") -> None:
    name = "unknown" if one.label is None else shown(one.label)
    nearest = "no class"
    if one.candidates:
        nearest = f"{one.candidates[0].distance:.4f} to {one.candidates[0].label}"
    click.echo(f"{shown(one.source)}: {name} ({shown(nearest)})")


def _for_programs(one: "Identified", model: "PushedModel") -> dict[str, object]:
    return {
        "source": one.source,
        "label": one.label,
        "candidates": [vars(candidate) for candidate in one.candidates],
        "threshold": model.threshold,
        "model": model.manifest.name,
        "version": model.version,
    }


@contextmanager
def _counting(console: "Console", done: str) -> Iterator["Callable[[int], None]"]:
    """Shows how many examples are done, on a terminal; gives what counts them."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(f"{{task.completed:,}} {done}"), TimeElapsedColumn())
    shown_live = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown_live) as progress:
        task = progress.add_task(done, total=None)
        yield lambda number: progress.advance(task, number)


def _counted(
    blocks: Iterator[list["Identified"]], progress: "Callable[[int], None]"
) -> Iterator[list["Identified"]]:
    for block in blocks:
        yield block
        progress(len(block))
