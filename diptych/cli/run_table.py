"""The table of runs."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from diptych.pipeline.runs.outcome import Outcome, RunState
from diptych.schemas.evaluation import Estimate

_STYLES: dict[RunState, str] = {
    "done": "green",
    "unchanged": "dim",
    "pruned": "dim",
    "failed": "red",
    "running": "cyan",
    "broken off": "yellow",
}
_IN_PRODUCTION = "*"


def show_runs(root: Path, outcomes: list[Outcome], known: int, console: Console) -> None:
    """Prints a table for each pipeline of a root.

    Args:
      root: said above each.
      outcomes: of the runs to show, the newest last.
      known: how many runs there are.
      console: to print on.
    """
    for pipeline in sorted({each.run.pipeline for each in outcomes}):
        console.print(f"[bold]{escape(pipeline)}[/]  root {escape(str(root))}")
        console.print(runs_table([each for each in outcomes if each.run.pipeline == pipeline]))
        console.print()
    notes = [f"{len(outcomes)} of {known} runs, --limit shows more"] * (len(outcomes) < known)
    if any(each.pushed and each.pushed.in_production for each in outcomes):
        notes.append(f"{_IN_PRODUCTION} in production: the newest version")
    console.print("; ".join(notes) if known else "There are no runs yet.")


def runs_table(outcomes: list[Outcome]) -> Table:
    """A line a run, in 100 columns or few more."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("run", "state", "steps", "took", "accuracy %", "AUC", "model"):
        right = name in ("took", "AUC")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for each in outcomes:
        auc = each.evaluation.pairs.roc_auc.value if each.evaluation else None
        table.add_row(
            escape(each.run.name),
            f"[{_STYLES[each.state]}]{each.state}[/]",
            _steps(each),
            duration(each.seconds),
            "-" if each.accuracy is None else percent(each.accuracy),
            "-" if auc is None else f"{auc:.3f}",
            _model(each),
        )
    return table


def duration(seconds: float | None) -> str:
    """As 0:07, 1:52 or 2:10:05; a dash where it is not known."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def percent(estimate: Estimate) -> str:
    """As 98.8 (97.6-99.7)."""
    if estimate.value is None:
        return "-"
    value = f"{100 * estimate.value:.1f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"


def _steps(each: Outcome) -> str:
    if each.state in ("done", "unchanged", "pruned"):
        return f"{each.steps('ran')} ran, {each.steps('cached')} cached"
    ended = each.run.steps[-1].state in ("ran", "cached")
    return f"{'after' if ended else 'at'} {each.last_step}"


def _model(each: Outcome) -> str:
    if each.pushed is None:
        return {None: "-", True: "blessed", False: "not blessed"}[each.blessed]
    if each.pushed.rolled_back:
        return f"{each.pushed.version} rolled back"
    if not each.pushed.there:
        return f"{each.pushed.version} gone"
    return each.pushed.version + (f" {_IN_PRODUCTION}" if each.pushed.in_production else "")
