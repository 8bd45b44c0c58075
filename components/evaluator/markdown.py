"""The evaluation report as Markdown."""

from collections.abc import Iterable, Iterator

from diptych.components.evaluator.class_metrics import worst_classes
from diptych.schemas.evaluation import (
    LABEL_ERRORS_FILE,
    AtThreshold,
    ClassMetrics,
    Estimate,
    EvaluationReport,
    GivenPairMetrics,
)


def format_markdown_report(report: EvaluationReport) -> str:
    """Format the verdict, the metrics with their intervals, and the notes."""
    pairs = report.pairs
    lines = [
        "# Evaluation on the test split",
        "",
        f"**{'Blessed' if report.blessed else 'Not blessed'}**",
        "",
        *(
            f"- {'passed' if check.passed else '**failed**'}: {check.text}"
            for check in report.checks
        ),
        "",
        f"{pairs.pairs:,} pairs ({pairs.positive_pairs:,} positive) of {pairs.examples:,} "
        f"examples. Intervals: 95 %, {report.resamples:,} bootstrap resamples of the examples.",
        "",
        *_format_table(("metric", "value", "interval"), _metric_rows(report)),
        "",
        *_format_table(
            (
                *("threshold", "distance", "true positives", "false negatives"),
                *("false positives", "true negatives"),
            ),
            (_confusion_row(name, metrics) for name, metrics in _thresholds(report)),
        ),
    ]
    worst = worst_classes(report.classes)
    if worst:
        header = ("worst classes", "accuracy", "pairs")
        lines += ["", *_format_table(header, map(_class_row, worst))]
    if report.given_pairs is not None:
        lines += ["", *_describe_given_pairs(report.given_pairs)]
    errors = report.label_errors
    if errors is not None:
        lines += [
            "",
            f"Suspected label errors: {errors.suspected:,} of {errors.judged:,} calibration and "
            f"test examples, in {LABEL_ERRORS_FILE}.",
            *(f"{note}" for note in errors.notes),
        ]
    if report.notes:
        lines += ["", *(f"- {note}" for note in report.notes)]
    return "\n".join(lines) + "\n"


def _describe_given_pairs(given: GivenPairMetrics) -> Iterator[str]:
    yield f"## Given pairs\n\n{given.pairs:,} pairs of `{given.file}`.\n"
    if given.folds is not None:
        yield (
            f"- accuracy {given.folds.mean:.2%} over {len(given.folds.accuracies)} folds, standard "
            f"error {given.folds.standard_error:.2%}"
        )
    if given.verification is not None:
        for name, estimate in (
            ("accuracy at the calibrated threshold", given.verification.calibrated.accuracy),
            ("ROC AUC", given.verification.roc_auc),
            ("equal error rate", given.verification.equal_error_rate),
        ):
            value, interval = _format_estimate(estimate)
            yield f"- {name} {value}, interval {interval}"
    yield (
        f"- {given.leaked_pairs:,} pairs have an example of the training split "
        f"({given.leaked_examples:,} examples)"
    )
    yield from (f"- {note}" for note in given.notes)


def _metric_rows(report: EvaluationReport) -> Iterator[tuple[str, ...]]:
    pairs = report.pairs
    for name, metrics in _thresholds(report):
        yield (f"accuracy, {name} threshold", *_format_estimate(metrics.accuracy))
        yield (f"precision, {name} threshold", *_format_estimate(metrics.precision))
        yield (f"recall, {name} threshold", *_format_estimate(metrics.recall))
        yield (f"F1, {name} threshold", *_format_estimate(metrics.f1))
    yield ("ROC AUC", *_format_estimate(pairs.roc_auc))
    yield ("equal error rate", *_format_estimate(pairs.equal_error_rate))
    for tar in pairs.tar_at_far:
        yield (f"TAR at FAR {tar.false_accept_rate:g}", *_format_estimate(tar.rate))
    retrieval = report.all.retrieval
    if retrieval is not None:
        yield ("Recall@1", *_format_estimate(retrieval.recall_at_1))
        yield ("Recall@5", *_format_estimate(retrieval.recall_at_5))
        yield ("MAP@R", *_format_estimate(retrieval.map_at_r))
    baseline = report.raw_distance
    yield ("accuracy, plain distance between inputs", *_format_estimate(baseline.accuracy))
    yield ("ROC AUC, plain distance between inputs", *_format_estimate(baseline.roc_auc))
    error = _format_estimate(baseline.equal_error_rate)
    yield ("equal error rate, plain distance between inputs", *error)
    if baseline.recall_at_1 is not None:
        yield ("Recall@1, plain distance between inputs", *_format_estimate(baseline.recall_at_1))
    for few_shot in report.all.few_shot:
        name = f"{few_shot.ways}-way {few_shot.shots}-shot accuracy"
        yield (name, *_format_estimate(few_shot.accuracy))


def _thresholds(report: EvaluationReport) -> tuple[tuple[str, AtThreshold], ...]:
    return ("fixed", report.pairs.fixed), ("calibrated", report.pairs.calibrated)


def _format_estimate(estimate: Estimate) -> tuple[str, str]:
    value = "-" if estimate.value is None else f"{estimate.value:.2%}"
    if estimate.low is None or estimate.high is None:
        return value, "-"
    return value, f"{estimate.low:.2%} to {estimate.high:.2%}"


def _confusion_row(name: str, metrics: AtThreshold) -> tuple[str, ...]:
    confusion = metrics.confusion
    counts = (
        *(confusion.true_positives, confusion.false_negatives),
        *(confusion.false_positives, confusion.true_negatives),
    )
    return (name, f"{metrics.threshold:.4f}", *(f"{count:,}" for count in counts))


def _class_row(metrics: ClassMetrics) -> tuple[str, ...]:
    label = metrics.label.replace("|", "\\|").replace("\n", " ")
    return (label, f"{metrics.accuracy:.2%}", f"{metrics.pairs:,}")


def _format_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(row)} |"
