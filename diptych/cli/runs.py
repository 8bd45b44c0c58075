"""``diptych runs``, ``compare-runs`` and ``report``. Heavy libraries are imported when needed."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diptych.cli.errors import explained

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 1000  # columns; tables take what they need
_root = click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that diptych run was given. Default: the only one here or directly below.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Prints JSON, for programs.")


@click.command()
@_root
@click.option("--pipeline", metavar="NAME", help="Only runs of this pipeline.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many of the newest.",
)
@_json
def runs(root: Path | None, pipeline: str | None, limit: int, as_json: bool) -> None:
    """Lists the runs of a root, the newest last.

    Says how each ended, what it came to, and which pushed version is in production.
    """
    with explained():
        from diptych.cli.run_table import show_runs
        from diptych.pipeline.runs.outcome import outcome
        from diptych.pipeline.runs.records import read_runs
        from diptych.pipeline.workspace import find_root

        place = find_root(root)
        every = [run for run in read_runs(place) if pipeline in (None, run.pipeline)]
        outcomes = [outcome(run, place) for run in every[-limit:]]
        if as_json:
            click.echo(json.dumps([each.as_json() for each in outcomes], indent=2))
        else:
            show_runs(place, outcomes, len(every), _console())


@click.command(name="compare-runs")
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@_root
@_json
def compare_runs(left: str, right: str, root: Path | None, as_json: bool) -> None:
    """Puts the runs A and B side by side: settings, data, figures, verdicts.

    A run is named as diptych runs lists it, or by a beginning that no other has; latest is the
    newest.
    """
    with explained():
        from diptych.cli.run_comparison import show_comparison
        from diptych.pipeline.runs.compare import side_by_side
        from diptych.pipeline.runs.outcome import outcome
        from diptych.pipeline.runs.records import find_run, read_runs
        from diptych.pipeline.workspace import find_root

        place = find_root(root)
        every = read_runs(place)
        both = side_by_side(*(outcome(find_run(every, name), place) for name in (left, right)))
        if as_json:
            click.echo(json.dumps(both.as_json(), indent=2))
        else:
            show_comparison(both, _console())


@click.command()
@click.argument("run", default="latest")
@_root
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Writes it there. Default: report.html beside the log of the run.",
)
@click.option("--rebuild", is_flag=True, help="Builds it anew, even if it is there.")
@click.option(
    "--open/--no-open",
    "opened",
    default=None,
    help="Opens it in the browser. Default: where there is a terminal and a display.",
)
def report(
    run: str, root: Path | None, out: Path | None, rebuild: bool, opened: bool | None
) -> None:
    """Opens the report of RUN (default: latest), or builds it first.

    The report is one HTML file that needs nothing else. A run is named as diptych runs lists it, or
    by a beginning that no other has.
    """
    with explained():
        from diptych.pipeline.runs.records import find_run, read_runs
        from diptych.pipeline.runs.report_file import report_of
        from diptych.pipeline.workspace import find_root

        place = find_root(root)
        path = report_of(find_run(read_runs(place), run), place, out, rebuild)
        click.echo(path)
        if opened or (opened is None and _has_display()):
            click.launch(str(path))


def _console() -> "Console":
    """Wide enough for a line to stay a line: no name is cut short on a narrow terminal."""
    from rich.console import Console

    return Console(highlight=False, width=_WIDTH)


def _has_display() -> bool:
    display = "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return sys.stdout.isatty() and display
