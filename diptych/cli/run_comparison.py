"""How two runs side by side look on the console."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from diptych.cli.run_table import duration, percent
from diptych.pipeline.runs.compare import SideBySide
from diptych.pipeline.runs.outcome import Outcome
from diptych.schemas.evaluation import Estimate


def show_comparison(both: SideBySide, console: Console) -> None:
    """Prints what two runs differ in, then their figures and verdicts."""
    console.print(_heads(both))
    _sides(console, "Configuration", both.configuration)
    if both.code:
        console.print(f"\n[bold]Code[/]           of {escape(', '.join(both.code))} has changed")
    for title, values in (("Data", both.data), ("Balance", both.balance)):
        _sides(console, title, values)
    _sides(console, "Training", both.training)
    if both.figures:
        console.print("\n[bold]Figures[/]        of the test split, in % with 95 % intervals")
        console.print(_figures(both))
        console.print(_pairs_line(both))
    if both.classes:
        console.print("\n[bold]Classes[/]        accuracy in %, the largest changes")
        console.print(_classes(both))
    console.print()
    for name, run in (("left", both.left), ("right", both.right)):
        for number, line in enumerate(_verdict(run)):
            console.print(f"{f'Verdict {name}' if not number else '':<15}{line}")


def _heads(both: SideBySide) -> Table:
    table = _table("", "left", "right")
    for name, of in (
        ("run", lambda run: escape(run.run.name)),
        ("state", _state),
        ("took", lambda run: duration(run.seconds)),
        ("model", lambda run: run.pushed.version if run.pushed else "not pushed"),
    ):
        table.add_row(name, of(both.left), of(both.right))
    return table


def _state(run: Outcome) -> str:
    return run.state if run.state in ("done", "unchanged") else f"{run.state} at {run.last_step}"


def _sides(console: Console, title: str, values: dict[str, tuple[Any, Any]]) -> None:
    console.print(f"\n[bold]{title}[/]" + ("" if values else f"{'':<{15 - len(title)}}the same"))
    width = max(map(len, values), default=0)
    for name, (left, right) in values.items():
        console.print(f"  {escape(name):<{width}}  {_said(left)} -> {_said(right)}")


def _said(value: Any) -> str:
    if value is None:
        return "none"
    return (
        f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else escape(str(value))
    )


def _figures(both: SideBySide) -> Table:
    table = _table("", "left", "right", "right - left")
    for name, (left, right) in both.figures.items():
        table.add_row(name, *(_percent(each) for each in (left, right)), _gain(left, right))
    return table


def _percent(each: Estimate | None) -> str:
    return "-" if each is None else percent(each)


def _gain(left: Estimate | None, right: Estimate | None) -> str:
    values = [each.value if each else None for each in (left, right)]
    if values[0] is None or values[1] is None:
        return "-"
    return _points(values[1] - values[0])


def _points(difference: float) -> str:
    """In points of a per cent, and never -0.0."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def _pairs_line(both: SideBySide) -> str:
    if both.same_pairs is None:
        return "Not both have judged pairs that can be compared one by one."
    if both.paired is None:
        return (
            "The test pairs are others: part of the differences is that of the pairs, not of the "
            "models."
        )
    found, paired = both.paired.difference, both.paired
    interval = (
        ""
        if found.low is None or found.high is None
        else f", 95 % interval {_points(found.low)} to {_points(found.high)}"
    )
    return (
        f"On the same pairs: accuracy {_points(found.value or 0.0)}{interval}; right alone told "
        f"{paired.only_candidate_right:,} of them right, left alone {paired.only_baseline_right:,}."
    )


def _classes(both: SideBySide) -> Table:
    table = _table("", "left", "right", "right - left")
    for each in both.classes:
        table.add_row(
            escape(each.label),
            f"{100 * each.left:.1f}",
            f"{100 * each.right:.1f}",
            _points(each.gain),
        )
    return table


def _verdict(run: Outcome) -> list[str]:
    if run.blessed is None:
        return ["none"]
    word = "[green]blessed[/]" if run.blessed else "[red]not blessed[/]"
    if run.evaluation is None:
        return [word]
    return [word, *(escape(rule.text) for rule in run.evaluation.rules)]


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if name == "right - left" else "left", no_wrap=True)
        if not number:
            table.columns[0].min_width = 13
    return table
