"""The evaluation in short, for people who have a terminal."""

from collections.abc import Iterable, Iterator

from diptych.components.evaluator.class_metrics import worst_classes
from diptych.schemas.evaluation import AtThreshold, ClassFigures, Estimate, Evaluation


def as_markdown(evaluation: Evaluation) -> str:
    """The verdict, the figures with their intervals, and what could not be told."""
    pairs = evaluation.pairs
    lines = [
        "# Evaluation on the test split",
        "",
        f"**{'Blessed' if evaluation.blessed else 'Not blessed'}**",
        "",
        *(f"- {'holds' if rule.holds else '**fails**'}: {rule.text}" for rule in evaluation.rules),
        "",
        f"{pairs.pairs:,} pairs ({pairs.same_pairs:,} same) of {pairs.examples:,} examples. "
        f"Intervals are 95 %, by {evaluation.resamples:,} bootstrap resamples of the examples.",
        "",
        *_table(("figure", "value", "interval"), _figures(evaluation)),
        "",
        *_table(
            (
                *("threshold", "distance", "same, called same", "same, called different"),
                *("different, called same", "different, called different"),
            ),
            (_counts(name, at) for name, at in _thresholds(evaluation)),
        ),
    ]
    worst = worst_classes(evaluation.classes)
    if worst:
        lines += ["", *_table(("worst classes", "accuracy", "pairs"), map(_of_class, worst))]
    if evaluation.notes:
        lines += ["", *(f"- {note}" for note in evaluation.notes)]
    return "\n".join(lines) + "\n"


def _figures(evaluation: Evaluation) -> Iterator[tuple[str, ...]]:
    pairs = evaluation.pairs
    for name, at in _thresholds(evaluation):
        yield (f"accuracy, {name} threshold", *_texts(at.accuracy))
        yield (f"precision, {name} threshold", *_texts(at.precision))
        yield (f"recall, {name} threshold", *_texts(at.recall))
        yield (f"F1, {name} threshold", *_texts(at.f1))
    yield ("ROC AUC", *_texts(pairs.roc_auc))
    yield ("equal error rate", *_texts(pairs.equal_error_rate))
    for tar in pairs.tar_at_far:
        yield (f"TAR at FAR {tar.false_accept_rate:g}", *_texts(tar.rate))
    retrieval = evaluation.all.retrieval
    if retrieval is not None:
        yield ("Recall@1", *_texts(retrieval.recall_at_1))
        yield ("Recall@5", *_texts(retrieval.recall_at_5))
        yield ("MAP@R", *_texts(retrieval.map_at_r))
    for shot in evaluation.all.few_shot:
        yield (f"{shot.ways}-way {shot.shots}-shot accuracy", *_texts(shot.accuracy))


def _thresholds(evaluation: Evaluation) -> tuple[tuple[str, AtThreshold], ...]:
    return ("fixed", evaluation.pairs.fixed), ("calibrated", evaluation.pairs.calibrated)


def _texts(figure: Estimate) -> tuple[str, str]:
    value = "-" if figure.value is None else f"{figure.value:.2%}"
    if figure.low is None or figure.high is None:
        return value, "-"
    return value, f"{figure.low:.2%} to {figure.high:.2%}"


def _counts(name: str, at: AtThreshold) -> tuple[str, ...]:
    told = at.confusion
    counts = (
        *(told.same_called_same, told.same_called_different),
        *(told.different_called_same, told.different_called_different),
    )
    return (name, f"{at.threshold:.4f}", *(f"{count:,}" for count in counts))


def _of_class(one: ClassFigures) -> tuple[str, ...]:
    label = one.label.replace("|", "\\|").replace("\n", " ")
    return (label, f"{one.accuracy:.2%}", f"{one.pairs:,}")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(row)} |"
