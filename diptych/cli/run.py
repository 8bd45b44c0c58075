"""``diptych run`` and ``diptych tune``."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from diptych.cli.errors import one_line
from diptych.cli.options import pipeline_options
from diptych.cli.terminal_text import escape_control
from diptych.schemas.errors import DiptychError

if TYPE_CHECKING:
    from diptych.cli.console import ConsoleReporter


@click.command("run", short_help="Run the pipeline.")
@pipeline_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check the configuration and the data, and print which steps would run. Runs nothing and "
    "writes nothing.",
)
@click.option(
    "--nightly",
    is_flag=True,
    help="For schedules: does nothing without new data, settings or code, resumes an interrupted "
    "run, and prints a line of JSON at the end. Exit code 0: pushed or nothing new, 1: failed, "
    "3: not blessed, 4: the root is in use by another run.",
)
@click.option(
    "--until", metavar="STEP", help="With --nightly: stop after this step; run again to resume."
)
def run_command(
    config: Path,
    settings: tuple[str, ...],
    root: Path | None,
    dry_run: bool,
    nightly: bool,
    until: str | None,
) -> None:
    """Run the pipeline that CONFIG describes.

    Steps whose data, settings and code have not changed are taken from the cache.
    """
    if nightly and dry_run:
        raise click.UsageError("Use --nightly or --dry-run, not both.")
    if until is not None and not nightly:
        raise click.UsageError("--until requires --nightly: other runs cannot be resumed.")
    if nightly:
        _run_nightly(config, settings, root, until)
    elif dry_run:
        _print_plan(config, settings, root)
    else:
        _run_once(config, settings, root)


@click.command("tune", short_help="Search for better hyperparameters.")
@pipeline_options
def tune_command(config: Path, settings: tuple[str, ...], root: Path | None) -> None:
    """Search for better values of the keys in the section tune of CONFIG.

    Trials with values from the given ranges train in parallel on Ray; trials that fall behind are
    stopped early. The best configuration is written to a file. Run the same command again to
    resume an interrupted search.
    """
    from diptych.cli.console import ConsoleReporter, results_console
    from diptych.cli.search_table import search_table
    from diptych.pipeline.tuning.tune import tune
    from diptych.schemas.config.loading import load_config

    progress = ConsoleReporter()
    with _exit_with_log(progress):
        result = tune(load_config(config, settings), root, progress)
    console = results_console()
    console.print()
    console.print(search_table(result.trials, result.results))
    console.print()
    for title, path in result.files.items():
        console.print(f"{title:<14}{escape_control(str(path))}", markup=False)
    _print_done(progress)


def _run_once(config: Path, settings: tuple[str, ...], root: Path | None) -> None:
    from diptych.cli.console import ConsoleReporter, results_console
    from diptych.cli.run_summary import print_run_summary
    from diptych.pipeline.run import run_pipeline
    from diptych.pipeline.runs.run_summary import summarize_run
    from diptych.pipeline.session import resolve_root
    from diptych.pipeline.workspace import report_path
    from diptych.schemas.config.loading import load_config

    progress = ConsoleReporter()
    with _exit_with_log(progress):
        loaded = load_config(config, settings)
        run = run_pipeline(loaded, root, progress)
        report = report_path(resolve_root(loaded, root), run.name)
        summary = summarize_run(run)
    console = results_console()
    print_run_summary(summary, report if report.is_file() else None, console)
    if run.unchanged:
        console.print(f"Nothing has changed: all from the cache, in {progress.seconds:.0f} s")
    else:
        _print_done(progress)


def _run_nightly(
    config: Path, settings: tuple[str, ...], root: Path | None, until: str | None
) -> None:
    """Run the night; the last line on standard output is its summary, as JSON."""
    from diptych.cli.console import STDERR, ConsoleReporter
    from diptych.pipeline.nightly.command import run_nightly

    progress = ConsoleReporter(STDERR)
    night = run_nightly(config, settings, root, until, progress)
    if night.error is not None:
        log = f"\nLog: {progress.log}" if progress.log else ""
        click.echo(f"Error: {night.error}{log}", err=True)
    elif night.outcome == "nothing new":
        click.echo(f"No changes since {night.run}: same data, settings and code.", err=True)
    click.echo(night.model_dump_json())
    raise SystemExit(night.exit_code)


def _print_plan(config: Path, settings: tuple[str, ...], root: Path | None) -> None:
    from diptych.cli.console import hide_library_output
    from diptych.pipeline.session import resolve_root
    from diptych.schemas.config.loading import load_config

    with hide_library_output():
        loaded = load_config(config, settings)
        # Imports TensorFlow, whose output is hidden.
        from diptych.pipeline.dry_run import describe_data, plan_run

        steps = plan_run(loaded, root)
        notes = describe_data(loaded)
    click.echo(f"{loaded.name}  root {escape_control(str(resolve_root(loaded, root)))}")
    for step in steps:
        click.echo(f"  {step.name:<18}{'cached' if step.cached else 'would run'}")
    for note in notes:
        click.echo(f"  {escape_control(note)}")


def _print_done(progress: "ConsoleReporter") -> None:
    log = escape_control(str(progress.log))
    click.echo(f"Done          in {progress.seconds:.0f} s, log in {log}")


@contextlib.contextmanager
def _exit_with_log(progress: "ConsoleReporter") -> Iterator[None]:
    """Exit with code 1, the message of an error, and the path of the log if the run has begun."""
    from diptych.pipeline.session import INTERRUPTED

    try:
        yield
    except (DiptychError, KeyboardInterrupt) as error:
        message = INTERRUPTED if isinstance(error, KeyboardInterrupt) else one_line(error)
        log = f"\nLog: {progress.log}" if progress.log else ""
        raise click.ClickException(message + log) from error
