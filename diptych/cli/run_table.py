"""Table of the runs on the console."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from diptych.cli.terminal_text import escape_control
from diptych.pipeline.runs.outcome import RunOutcome, RunState
from diptych.schemas.evaluation import Estimate

_STYLES: dict[RunState, str] = {
    "done": "green",
    "unchanged": "dim",
    "pruned": "dim",
    "failed": "red",
    "running": "cyan",
    "interrupted": "yellow",
}
_IN_PRODUCTION = "*"


def print_runs(root: Path, outcomes: list[RunOutcome], num_runs: int, console: Console) -> None:
    """Print a table of runs for each pipeline of a root.

    Args:
      root: Pipeline root, shown above each table.
      outcomes: Outcomes of the runs to print, the newest last.
      num_runs: Number of runs of the root.
      console: Console to print on.
    """
    for pipeline in sorted({each.run.pipeline for each in outcomes}):
        console.print(f"[bold]{escape(pipeline)}[/]  root {escape(escape_control(str(root)))}")
        console.print(runs_table([each for each in outcomes if each.run.pipeline == pipeline]))
        console.print()
    notes = [f"{len(outcomes)} of {num_runs} runs, --limit shows more"] * (len(outcomes) < num_runs)
    if any(each.pushed and each.pushed.in_production for each in outcomes):
        notes.append(f"{_IN_PRODUCTION} in production: the newest version")
    console.print("; ".join(notes) if num_runs else "No runs yet.")


def runs_table(outcomes: list[RunOutcome]) -> Table:
    """Table with a row per run, about 100 columns wide."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("run", "state", "steps", "took", "accuracy %", "AUC", "model"):
        right = name in ("took", "AUC")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for each in outcomes:
        auc = each.evaluation.pairs.roc_auc.value if each.evaluation else None
        table.add_row(
            escape(each.run.name),
            f"[{_STYLES[each.state]}]{each.state}[/]",
            _describe_steps(each),
            format_duration(each.seconds),
            "-" if each.accuracy is None else format_percent(each.accuracy),
            "-" if auc is None else f"{auc:.3f}",
            _describe_pushed(each),
        )
    return table


def format_duration(seconds: float | None) -> str:
    """Format a duration as 0:07, 1:52 or 2:10:05; an unknown one as a dash."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_percent(estimate: Estimate) -> str:
    """Format a fraction with its confidence interval, in percent: 98.8 (97.6-99.7)."""
    if estimate.value is None:
        return "-"
    value = f"{100 * estimate.value:.1f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"


def _describe_steps(each: RunOutcome) -> str:
    if each.state in ("done", "unchanged", "pruned"):
        return f"{each.count_steps('ran')} ran, {each.count_steps('cached')} cached"
    ended = each.run.steps[-1].state in ("ran", "cached")
    return f"{'after' if ended else 'at'} {each.last_step}"


def _describe_pushed(each: RunOutcome) -> str:
    if each.pushed is None:
        return {None: "-", True: "blessed", False: "not blessed"}[each.blessed]
    if each.pushed.rolled_back:
        return f"{each.pushed.version} rolled back"
    if not each.pushed.exists:
        return f"{each.pushed.version} deleted"
    return each.pushed.version + (f" {_IN_PRODUCTION}" if each.pushed.in_production else "")
