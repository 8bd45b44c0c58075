"""Summary of a run on the console."""

import math
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from diptych.cli.terminal_text import escape_control, shell_argument
from diptych.pipeline.runs.run_summary import RunSummary
from diptych.schemas.balance import Spread
from diptych.schemas.data_report import (
    CONFLICT_REASON,
    DataReport,
    describe_corrections,
    describe_duplicates,
    describe_leaks,
)
from diptych.schemas.evaluation import (
    LABEL_ERRORS_FILE,
    Estimate,
    EvaluationReport,
    GivenPairMetrics,
    RawDistanceMetrics,
)
from diptych.schemas.rejected_rows import ReasonCount, most_frequent

_MAX_REASONS = 3


def print_run_summary(summary: RunSummary, report: Path | None, console: Console) -> None:
    """Print the summary of a run: two tables, the metrics and the paths of its results.

    If the model is not blessed, the first lines state why.

    Args:
      summary: Summary of the run.
      report: Path of the report; None: it could not be built.
      console: Console to print on.
    """
    if not summary.evaluation.blessed:
        console.print()
        _print_failed_checks(summary.evaluation, console)
    for table in (_pairs_table(summary), _balance_table(summary)):
        console.print()
        console.print(table)
    console.print()
    distinct = [
        f"{split} {each.num_distinct_positive:,}" for split, each in summary.balance.items()
    ]
    _print_line(console, "Distinct", f"positive pairs: {', '.join(distinct)}")
    for note, splits in _splits_by_note(summary).items():
        _print_line(console, "Note", f"{', '.join(splits)}: {note}")
    if summary.negatives != "random":  # show whether similar classes were available
        _print_line(console, "Negatives", summary.negatives)
    reasons = f", reasons in {summary.rejected}" if summary.num_rejected else ""
    rejected = f"{summary.num_rejected:,} of {summary.num_read:,} rows or images{reasons}"
    _print_line(console, "Rejected", rejected)
    _print_data_report(summary.data_report, console)
    _print_reason_counts(console, "Ignored", summary.ignored)
    _print_reason_counts(console, "Data", summary.findings, "yellow")
    for name, reason in summary.skipped_spans.items():
        _print_line(console, "Skipped", f"span {name}: {reason}", "yellow")
    if summary.drift:
        _print_line(console, "Newest span", summary.drift)
    _print_metrics(summary.evaluation, console)
    if summary.evaluation.given_pairs is not None:
        _print_given_pairs(summary.evaluation.given_pairs, console)
    _print_label_errors(summary, console)
    _print_line(console, "Model", _describe_model(summary))
    path = "not built, see the log" if report is None else str(report)
    _print_line(console, "Report", path)
    _print_line(console, "Curves", f"tensorboard --logdir {shell_argument(summary.curves)}")


def percentage(estimate: Estimate) -> str:
    """Format a fraction as a percentage, with its confidence interval if it has one."""
    if estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2%}"
    return f"{estimate.value:.2%} ({estimate.low:.2%} to {estimate.high:.2%})"


def _print_data_report(report: DataReport, console: Console) -> None:
    _print_line(console, "Duplicates", describe_duplicates(report))
    if report.num_leaked:
        _print_line(console, "Leaks", describe_leaks(report), "yellow")
    if report.num_conflicts:
        text = f"{report.num_conflicts:,} examples rejected: {CONFLICT_REASON}"
        _print_line(console, "Conflicts", text, "yellow")
    if report.corrections is not None:
        _print_line(console, "Corrections", describe_corrections(report.corrections))


def _print_line(console: Console, title: str, text: str, style: str = "") -> None:
    console.print(f"{title:<14}[{style or 'none'}]{escape(escape_control(text))}[/]")


def _print_reason_counts(
    console: Console, title: str, counts: Mapping[str, ReasonCount], style: str = ""
) -> None:
    """Print a line for each of the most frequent reasons; the report has the others."""
    ordered = most_frequent(counts)
    for reason, times in ordered[:_MAX_REASONS]:
        example = f" (such as {times.source})" if times.count > 1 else f" ({times.source})"
        _print_line(console, title, f"{times.count:,} x {reason}{example}", style)
        title = ""
    if len(ordered) > _MAX_REASONS:
        _print_line(console, "", f"{len(ordered) - _MAX_REASONS} more reasons: see the report")


def _describe_model(summary: RunSummary) -> str:
    if summary.pushed is None:
        version = summary.rolled_back
        return f"not pushed: version {version} was rolled back" if version else "not pushed"
    if summary.pushed.rolled_back:
        return f"{summary.pushed.path} (rolled back)"
    return f"{summary.pushed.path}{'' if summary.pushed.exists else ' (deleted)'}"


def _print_metrics(evaluation: EvaluationReport, console: Console) -> None:
    """Print the metrics of the test split, and the verdict with a line for each check."""
    pairs = evaluation.pairs
    for name, metrics in (("fixed", pairs.fixed), ("calibrated", pairs.calibrated)):
        text = f"{percentage(metrics.accuracy)} at the {name} threshold {metrics.threshold:.3f}"
        _print_line(console, "Accuracy", text)
    auc = "-" if pairs.roc_auc.value is None else f"{pairs.roc_auc.value:.4f}"
    error = percentage(pairs.equal_error_rate)
    text = f"{auc}, equal error rate {error}, on {pairs.pairs:,} test pairs"
    _print_line(console, "ROC AUC", text)
    retrieval = evaluation.all.retrieval
    if retrieval is not None:
        text = f"{percentage(retrieval.recall_at_1)}, {retrieval.queries:,} queries"
        _print_line(console, "Recall@1", text)
    few_shot_slices = [each for each in evaluation.slices[1:] if each.few_shot]
    for each in few_shot_slices or [evaluation.all]:
        one_shot = [episodes for episodes in each.few_shot if episodes.shots == 1]
        if one_shot:
            text = ", ".join(f"{percentage(of.accuracy)} {of.ways}-way" for of in one_shot)
            _print_line(console, "One-shot", f"{text}, {each.name} classes")
    _print_baseline(evaluation.raw_distance, console)
    if evaluation.collapse is not None:
        _print_line(console, "Collapse", evaluation.collapse, "red")
    verdict = "[green]blessed[/]" if evaluation.blessed else "[red]not blessed[/]"
    # The failed checks first: they decided against the model.
    first, *others = sorted(evaluation.checks, key=lambda check: check.passed)
    console.print(f"Verdict       {verdict}: {escape(escape_control(first.text))}")
    for check in others:
        _print_line(console, "", check.text)


def _print_baseline(baseline: RawDistanceMetrics, console: Console) -> None:
    """Print the metrics of the no-learning baseline; the verdict has the difference."""
    auc = "-" if baseline.roc_auc.value is None else f"{baseline.roc_auc.value:.4f}"
    text = f"{percentage(baseline.accuracy)} without learning, ROC AUC {auc}"
    if baseline.recall_at_1 is not None:
        text += f", Recall@1 {percentage(baseline.recall_at_1)}"
    _print_line(console, "Baseline", f"{text}: plain distance between inputs")


def _print_given_pairs(given: GivenPairMetrics, console: Console) -> None:
    """Print the metrics of ``evaluate.pairs``, and whether they are reliable."""
    lines = []
    if given.folds is not None:
        error = f"standard error {given.folds.standard_error:.2%}"
        text = f"{given.folds.mean:.2%} accuracy over {len(given.folds.accuracies)} folds, {error}"
        lines.append((text, ""))
    if given.verification is not None:
        accuracy = percentage(given.verification.calibrated.accuracy)
        text = f"{accuracy} accuracy at the calibrated threshold"
        auc, error_rate = given.verification.roc_auc, given.verification.equal_error_rate
        if auc.value is not None:
            text += f", ROC AUC {auc.value:.4f}, equal error rate {percentage(error_rate)}"
        lines.append((f"{text}, {given.verification.pairs:,} pairs of {given.file}", ""))
    if given.leaked_pairs:
        text = f"{given.leaked_pairs:,} of {given.pairs:,} pairs have an example of the training"
        lines.append((f"{text} split: their distances are not those of new data", "yellow"))
    lines += [(note, "yellow") for note in given.notes]
    for number, (text, style) in enumerate(lines):
        _print_line(console, "" if number else "Given pairs", text, style)


def _print_label_errors(summary: RunSummary, console: Console) -> None:
    errors = summary.evaluation.label_errors
    if errors is None or not errors.suspected:
        return
    text = f"{errors.suspected:,} of {errors.judged:,} labels contradict their neighbours, see "
    path = summary.evaluation_folder / LABEL_ERRORS_FILE
    _print_line(console, "Labels", f"{text}{path}", "yellow")


def _print_failed_checks(evaluation: EvaluationReport, console: Console) -> None:
    """State first why a model is not blessed."""
    failed = [check for check in evaluation.checks if not check.passed]
    for number, check in enumerate(failed):
        _print_line(console, "" if number else "Not blessed", check.text, "red")


def _pairs_table(summary: RunSummary) -> Table:
    table = _make_table(
        *("split", "examples", "classes", "singletons", "positive", "negative", "triplets")
    )
    for split, manifest in summary.manifests.items():
        classes = summary.balance[split].classes  # None: the data are pairs
        table.add_row(
            split,
            f"{manifest.num_examples:,}",
            f"{classes.num_classes:,}" if classes else "-",
            f"{classes.num_singletons:,}" if classes else "-",
            f"{manifest.num_positive:,}",
            f"{manifest.num_negative:,}",
            f"{manifest.num_triplets:,}",
        )
    return table


def _balance_table(summary: RunSummary) -> Table:
    spread = "min / median / max"
    table = _make_table(
        "balance",
        f"examples per class\n{spread}",
        f"pairs per class\n{spread}",
        "repeats\nmean / max",
        "in a pair",
    )
    for split, balance in summary.balance.items():
        classes = balance.classes
        table.add_row(
            split,
            _format_spread(classes.examples) if classes else "-",
            _format_spread(classes.pairs) if classes else "-",
            f"{balance.repeats_mean:.1f} / {balance.repeats_max}",
            f"{math.floor(balance.coverage * 1000) / 10:.1f} %",  # 100 only if it is complete
        )
    return table


def _make_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    return table


def _format_spread(spread: Spread) -> str:
    return " / ".join(_shorten(number) for number in (spread.min, spread.median, spread.max))


def _shorten(number: float) -> str:
    """Format a number in at most six characters; below 10,000 as an integer."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= max(size, 1e4):
            return f"{number / size:,.{1 if number < 100 * size else 0}f}{unit}"
    return f"{number:,.0f}"


def _splits_by_note(summary: RunSummary) -> dict[str, list[str]]:
    """Splits of each note."""
    notes: dict[str, list[str]] = {}
    for split, balance in summary.balance.items():
        for note in balance.notes:
            notes.setdefault(note, []).append(split)
    return notes
