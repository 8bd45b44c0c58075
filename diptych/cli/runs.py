"""``diptych runs``, ``diptych compare-runs`` and ``diptych report``."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diptych.cli.errors import exit_on_error
from diptych.cli.options import json_option, runs_root_option
from diptych.cli.path_type import FilePath

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 1000  # columns; no table is wider


@click.command("runs", short_help="List the runs of a pipeline root.")
@runs_root_option
@click.option("--pipeline", metavar="NAME", help="List only the runs of this pipeline.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Maximum number of runs to list; older ones are omitted.",
)
@json_option
def runs_command(root: Path | None, pipeline: str | None, limit: int, as_json: bool) -> None:
    """List the runs of a pipeline root, the newest last.

    The list shows the state and the metrics of each run, and which pushed version is in
    production.
    """
    with exit_on_error():
        from diptych.cli.run_table import print_runs
        from diptych.pipeline.runs.outcome import read_run_outcome
        from diptych.pipeline.runs.records import read_runs
        from diptych.pipeline.workspace import find_root

        root = find_root(root)
        every = [run for run in read_runs(root) if pipeline in (None, run.pipeline)]
        outcomes = [read_run_outcome(run, root) for run in every[-limit:]]
        if as_json:
            click.echo(json.dumps([each.as_json() for each in outcomes], indent=2))
        else:
            print_runs(root, outcomes, len(every), _wide_console())


@click.command("compare-runs", short_help="Compare two runs.")
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@runs_root_option
@json_option
def compare_runs_command(left: str, right: str, root: Path | None, as_json: bool) -> None:
    """Compare the runs A and B: settings, code, data, metrics and verdicts.

    Select a run by its name in diptych runs, a unique prefix of the name, or latest.
    """
    with exit_on_error():
        from diptych.cli.run_comparison import print_comparison
        from diptych.pipeline.runs.compare import compare_runs
        from diptych.pipeline.runs.outcome import read_run_outcome
        from diptych.pipeline.runs.records import find_run, read_runs
        from diptych.pipeline.workspace import find_root

        root = find_root(root)
        every = read_runs(root)
        runs = (find_run(every, name) for name in (left, right))
        comparison = compare_runs(*(read_run_outcome(run, root) for run in runs))
        if as_json:
            click.echo(json.dumps(comparison.as_json(), indent=2))
        else:
            print_comparison(comparison, _wide_console())


@click.command("report", short_help="Build and open the report of a run.")
@click.argument("run", default="latest")
@runs_root_option
@click.option(
    "--out",
    type=FilePath(dir_okay=False),
    help="File to write. Default: report.html next to the log of the run.",
)
@click.option("--rebuild", is_flag=True, help="Build the report again, even if it exists.")
@click.option(
    "--open/--no-open",
    "opened",
    default=None,
    help="Open the report in the browser. Default: only with a terminal and a display.",
)
def report_command(
    run: str, root: Path | None, out: Path | None, rebuild: bool, opened: bool | None
) -> None:
    """Build the report of RUN (default: latest) if it is missing, and open it.

    The report is one self-contained HTML file. Select a run by its name in diptych runs, a unique
    prefix of the name, or latest.
    """
    with exit_on_error():
        from diptych.pipeline.runs.records import find_run, read_runs
        from diptych.pipeline.runs.report_file import ensure_report
        from diptych.pipeline.workspace import find_root

        root = find_root(root)
        path = ensure_report(find_run(read_runs(root), run), root, out, rebuild)
        click.echo(path)
        if opened or (opened is None and _has_display()):
            click.launch(str(path))


def _wide_console() -> "Console":
    """Console of a fixed width, so that a narrow terminal truncates no names."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, width=_WIDTH)


def _has_display() -> bool:
    display = "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return sys.stdout.isatty() and display
