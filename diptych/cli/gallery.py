"""``diptych enroll`` and ``diptych identify``: new classes without retraining."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diptych.cli.model_option import load_pushed_model, model_option
from diptych.cli.options import json_option
from diptych.cli.path_type import FilePath
from diptych.cli.terminal_text import escape_control

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from diptych.inference.enroll import EnrollReport
    from diptych.inference.gallery import Gallery
    from diptych.inference.identify import Identification
    from diptych.inference.pushed_model import PushedModel

_MAX_LISTED = 10
_PATH = FilePath()


@click.command("enroll", short_help="Add labelled examples to a gallery.")
@click.argument("gallery", type=_PATH)
@click.argument("paths", type=_PATH, nargs=-1, metavar="[PATH]...")
@click.option("--label", help="Label of all examples. Default: their folders, or the label column.")
@click.option("--remove", multiple=True, metavar="LABEL", help="Remove a class; may be repeated.")
@click.option(
    "--re-embed",
    is_flag=True,
    help="Embed all examples of the gallery again, after a change of the model.",
)
@model_option
def enroll_command(
    gallery: Path,
    paths: tuple[Path, ...],
    label: str | None,
    remove: tuple[str, ...],
    re_embed: bool,
    model: Path | None,
) -> None:
    """Add labelled examples to a gallery: new classes without retraining.

    GALLERY is a folder; it is created if it does not exist. For a model of images, PATH is a folder
    of images with a subfolder per class. For a model of vectors, it is a table with the label
    column. With --label, it can also be one image, a folder without subfolders, a table without
    labels, or a row of a table (birds.csv:12). An example that the gallery already contains under
    the same label is skipped.

    Exit code 1 if no example could be used, or if the gallery contains an example under another
    label.
    """
    from diptych.cli.console import hide_library_output

    if not (paths or remove or re_embed):
        raise click.UsageError("Nothing to do. Pass a PATH, --remove LABEL or --re-embed.")
    with hide_library_output() as console:
        from diptych.inference.enroll import EnrollReport, enroll_examples
        from diptych.inference.gallery import Gallery

        pushed = load_pushed_model(model)
        report = EnrollReport()
        if re_embed:
            with _count_examples(console, "embedded again") as progress:
                content = Gallery.re_embed(gallery, pushed, progress)
        elif paths:
            content = Gallery.create_or_open(gallery, pushed)
        else:
            content = Gallery.open(gallery, pushed)
        removed = {name: content.remove(name) for name in remove}
        if paths:
            with _count_examples(console, "enrolled") as progress:
                report = enroll_examples(content, pushed, paths, label, progress)
    for name, number in removed.items():
        click.echo(f"Removed     {number:,} of {escape_control(name)}")
    if paths:
        _print_report(report)
    _print_gallery(content, pushed)
    if report.contradictions or (paths and not report.added + report.known):
        raise SystemExit(1)


@click.command("identify", short_help="Identify the class of an example in a gallery.")
@click.argument("gallery", type=_PATH)
@click.argument("path", type=_PATH)
@click.option(
    "--k", type=click.IntRange(1, 1000), default=5, show_default=True, help="Number of classes."
)
@click.option("--out", type=_PATH, metavar="FILE.parquet", help="Write all rows to a table.")
@json_option
@model_option
def identify_command(
    gallery: Path, path: Path, k: int, out: Path | None, as_json: bool, model: Path | None
) -> None:
    """Identify the class of an example among the classes of a gallery.

    PATH is an image, a row of a table (birds.csv:12), a folder or a table. The K nearest classes
    are listed, by the distance to their nearest example. If the nearest class is farther than the
    threshold of the model, the class is unknown.

    Exit code 0, also for an unknown class; 1 on an error. --json prints a line for each example.
    """
    from diptych.cli.console import hide_library_output

    rejected: list[tuple[str, str]] = []
    with hide_library_output() as console:
        from diptych.inference import identify as identification
        from diptych.inference.embed import check_output_file
        from diptych.inference.gallery import Gallery

        if out is not None:
            check_output_file(out)
        pushed = load_pushed_model(model)
        content = Gallery.open(gallery, pushed)
        batches = identification.identify_examples(content, pushed, path, k, rejected)
        if out is not None:
            with _count_examples(console, "identified") as progress:
                rows = identification.write_identifications(_report_batches(batches, progress), out)
            click.echo(f"Wrote {out}: {rows:,} rows")
        elif as_json:
            for batch in batches:
                for each in batch:
                    click.echo(json.dumps(_to_json(each, pushed)))
        elif identification.is_single_example(path):
            for (each,) in batches:
                _print_candidates(each, pushed)
        else:
            for batch in batches:
                for each in batch:
                    _print_nearest(each)
    _print_rejected(rejected)


def _print_report(report: "EnrollReport") -> None:
    click.echo(f"Added       {report.added:,}")
    click.echo(f"Known       {report.known:,}, skipped")
    _print_rejected(report.rejected)
    if report.contradictions:
        click.echo(
            f"Not added   {len(report.contradictions):,}, in the gallery under another label:",
            err=True,
        )
        for each in report.contradictions[:_MAX_LISTED]:
            line = f"{each.source}: {each.known_as}, and now {each.label}"
            click.echo(f"  {escape_control(line)}", err=True)
        _print_remaining(report.contradictions)


def _print_rejected(rejected: Sequence[tuple[str, str]]) -> None:
    if rejected:
        click.echo(f"Rejected    {len(rejected):,}", err=True)
        for source, reason in rejected[:_MAX_LISTED]:
            click.echo(f"  {escape_control(f'{source}: {reason}')}", err=True)
        _print_remaining(rejected)


def _print_remaining(lines: Sequence[object]) -> None:
    if len(lines) > _MAX_LISTED:
        click.echo(f"  and {len(lines) - _MAX_LISTED:,} more", err=True)


def _print_gallery(content: "Gallery", model: "PushedModel") -> None:
    name = f"{model.manifest.name} version {model.manifest.version}"
    click.echo(
        f"Gallery     {escape_control(str(content.folder))}: {len(content):,} examples of "
        f"{len(content.labels):,} classes, of the model {name}"
    )


def _print_candidates(result: "Identification", model: "PushedModel") -> None:
    click.echo("unknown" if result.label is None else escape_control(result.label))
    for candidate in result.candidates:
        same = "same" if candidate.same else "different"
        name = escape_control(f"{candidate.label}  ({candidate.source})")
        click.echo(f"  {candidate.distance:.4f}  {same:<9}  {name}")
    click.echo(f"  threshold  {model.manifest.threshold:.4f}, calibrated")
    click.echo(f"  model      {model.manifest.name}, version {model.manifest.version}")


def _print_nearest(result: "Identification") -> None:
    name = "unknown" if result.label is None else escape_control(result.label)
    nearest = "no class"
    if result.candidates:
        nearest = f"{result.candidates[0].distance:.4f} to {result.candidates[0].label}"
    click.echo(f"{escape_control(result.source)}: {name} ({escape_control(nearest)})")


def _to_json(result: "Identification", model: "PushedModel") -> dict[str, object]:
    return {
        "source": result.source,
        "label": result.label,
        "candidates": [vars(candidate) for candidate in result.candidates],
        "threshold": model.manifest.threshold,
        "model": model.manifest.name,
        "version": model.manifest.version,
    }


@contextmanager
def _count_examples(console: "Console", done: str) -> Iterator["Callable[[int], None]"]:
    """Show the number of processed examples on a terminal; yield a function that adds to it."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(f"{{task.completed:,}} {done}"), TimeElapsedColumn())
    disable = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=disable) as progress:
        task = progress.add_task(done, total=None)
        yield lambda number: progress.advance(task, number)


def _report_batches(
    batches: Iterator[list["Identification"]], progress: "Callable[[int], None]"
) -> Iterator[list["Identification"]]:
    for batch in batches:
        yield batch
        progress(len(batch))
