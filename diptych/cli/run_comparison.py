"""Comparison of two runs on the console."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from diptych.cli.run_table import format_duration, format_percent
from diptych.cli.terminal_text import escape_control
from diptych.pipeline.runs.compare import RunComparison
from diptych.pipeline.runs.outcome import RunOutcome
from diptych.schemas.evaluation import Estimate


def print_comparison(comparison: RunComparison, console: Console) -> None:
    """Print the differences between two runs, then their metrics and verdicts."""
    console.print(_header_table(comparison))
    _print_differences(console, "Configuration", comparison.configuration)
    if comparison.code:
        console.print(f"\n[bold]Code[/]           changed in {escape(', '.join(comparison.code))}")
    for title, values in (("Data", comparison.data), ("Balance", comparison.balance)):
        _print_differences(console, title, values)
    _print_differences(console, "Training", comparison.training)
    if comparison.metrics:
        console.print("\n[bold]Metrics[/]        of the test split, in % with 95 % intervals")
        console.print(_metrics_table(comparison))
        console.print(_describe_pairs(comparison))
    if comparison.classes:
        console.print("\n[bold]Classes[/]        accuracy in %, largest changes first")
        console.print(_class_table(comparison))
    console.print()
    for name, run in (("left", comparison.left), ("right", comparison.right)):
        for number, line in enumerate(_verdict_lines(run)):
            console.print(f"{f'Verdict {name}' if not number else '':<15}{line}")


def _header_table(comparison: RunComparison) -> Table:
    table = _comparison_table("", "left", "right")
    for name, value_of in (
        ("run", lambda run: escape(run.run.name)),
        ("state", _describe_state),
        ("took", lambda run: format_duration(run.seconds)),
        ("model", lambda run: run.pushed.version if run.pushed else "not pushed"),
    ):
        table.add_row(name, value_of(comparison.left), value_of(comparison.right))
    return table


def _describe_state(run: RunOutcome) -> str:
    return run.state if run.state in ("done", "unchanged") else f"{run.state} at {run.last_step}"


def _print_differences(console: Console, title: str, values: dict[str, tuple[Any, Any]]) -> None:
    console.print(f"\n[bold]{title}[/]" + ("" if values else f"{'':<{15 - len(title)}}the same"))
    width = max(map(len, values), default=0)
    for name, (left, right) in values.items():
        shown = escape(escape_control(name))
        console.print(f"  {shown:<{width}}  {_format_detail(left)} -> {_format_detail(right)}")


def _format_detail(value: Any) -> str:
    if value is None:
        return "none"
    return (
        f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else escape(escape_control(str(value)))
    )


def _metrics_table(comparison: RunComparison) -> Table:
    table = _comparison_table("", "left", "right", "right - left")
    for name, (left, right) in comparison.metrics.items():
        table.add_row(
            name, *(_format_estimate(each) for each in (left, right)), _format_gain(left, right)
        )
    return table


def _format_estimate(each: Estimate | None) -> str:
    return "-" if each is None else format_percent(each)


def _format_gain(left: Estimate | None, right: Estimate | None) -> str:
    values = [each.value if each else None for each in (left, right)]
    if values[0] is None or values[1] is None:
        return "-"
    return _percentage_points(values[1] - values[0])


def _percentage_points(difference: float) -> str:
    """Format a difference in percentage points, never as -0.0."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def _describe_pairs(comparison: RunComparison) -> str:
    if comparison.same_pairs is None:
        return "The test pairs of the two runs cannot be compared one by one."
    if comparison.paired is None:
        return (
            "The test pairs differ: part of the differences is due to the pairs, not to the models."
        )
    difference, paired = comparison.paired.difference, comparison.paired
    change = _percentage_points(difference.value or 0.0)
    if difference.low is not None and difference.high is not None:
        low, high = _percentage_points(difference.low), _percentage_points(difference.high)
        change += f", 95 % interval {low} to {high}"
    return (
        f"On the same pairs: accuracy {change}; correct pairs only in the right run: "
        f"{paired.only_candidate_correct:,}, only in the left run: "
        f"{paired.only_reference_correct:,}."
    )


def _class_table(comparison: RunComparison) -> Table:
    table = _comparison_table("", "left", "right", "right - left")
    for each in comparison.classes:
        table.add_row(
            escape(escape_control(each.label)),
            f"{100 * each.left:.1f}",
            f"{100 * each.right:.1f}",
            _percentage_points(each.gain),
        )
    return table


def _verdict_lines(run: RunOutcome) -> list[str]:
    if run.blessed is None:
        return ["none"]
    word = "[green]blessed[/]" if run.blessed else "[red]not blessed[/]"
    if run.evaluation is None:
        return [word]
    return [word, *(escape(escape_control(check.text)) for check in run.evaluation.checks)]


def _comparison_table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if name == "right - left" else "left", no_wrap=True)
        if not number:
            table.columns[0].min_width = 13
    return table
