"""Metrics per class, and the classes with the lowest accuracy."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from diptych.components.evaluator.retrieval import RetrievalResults
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.schemas.evaluation import ClassMetrics

_Z = 1.96  # 95 % of a normal distribution lies within this many standard deviations


def compute_class_metrics(
    pairs: ScoredPairs,
    threshold: float,
    labels: npt.NDArray[np.object_],
    seen: npt.NDArray[np.bool_],
    retrieval: RetrievalResults | None,
) -> tuple[ClassMetrics, ...]:
    """Compute the metrics of each class.

    A positive pair counts once for its class, a negative pair once for each of its two classes.

    Args:
      pairs: Test pairs.
      threshold: Calibrated threshold.
      labels: (num_examples,) label of each example.
      seen: (num_examples,) True if the class of the example is in the training split.
      retrieval: Retrieval results over all test examples, or None if there are none.

    Returns:
      One element per class, sorted by label.
    """
    names, first, class_index = np.unique(labels, return_index=True, return_inverse=True)
    pair_correct = pairs.is_correct(threshold)
    left_class, right_class = class_index[pairs.left], class_index[pairs.right]
    mixed = left_class != right_class
    owner = np.concatenate([left_class, right_class[mixed]])
    correct = np.concatenate([pair_correct, pair_correct[mixed]])
    positive = np.concatenate([pairs.is_positive, pairs.is_positive[mixed]])

    def mean_per_class(
        classes: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
    ) -> list[float | None]:
        counts = np.bincount(classes, minlength=len(names)).tolist()
        totals = np.bincount(classes, values, len(names)).tolist()
        return [
            total / count if count else None for total, count in zip(totals, counts, strict=True)
        ]

    empty = np.empty(0)
    recall_at_1 = (
        mean_per_class(empty.astype(np.int64), empty)
        if retrieval is None
        else mean_per_class(class_index[retrieval.query], retrieval.recall_at_1)
    )
    columns = zip(
        (decode_label(name) for name in names),
        seen[first].tolist(),
        np.bincount(class_index, minlength=len(names)).tolist(),
        np.bincount(owner, minlength=len(names)).tolist(),
        mean_per_class(owner, correct),
        mean_per_class(owner[positive], correct[positive]),
        mean_per_class(owner[~positive], correct[~positive]),
        recall_at_1,
        strict=True,
    )
    fields = list(ClassMetrics.model_fields)
    return tuple(ClassMetrics(**dict(zip(fields, row, strict=True))) for row in columns)


def worst_classes(classes: Iterable[ClassMetrics], n: int = 10) -> tuple[ClassMetrics, ...]:
    """Return the classes with the lowest accuracy, the worst first.

    Classes are ordered by the upper end of the 95 % Wilson interval ("Probable Inference, the Law
    of Succession, and Statistical Inference", JASA 22, 1927), which accounts for the number of
    pairs: 1 error in 2 pairs may be chance, 30 in 100 are not.

    Args:
      classes: Classes to rank. Classes without pairs or without errors are ignored.
      n: Maximum number of classes to return.
    """
    with_errors = [
        metrics for metrics in classes if metrics.accuracy is not None and metrics.accuracy < 1
    ]
    ranked = sorted(with_errors, key=lambda metrics: (_wilson_upper_bound(metrics), metrics.label))
    return tuple(ranked[:n])


def decode_label(label: object) -> str:
    """Convert a label to text; invalid UTF-8 is replaced."""
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)


def _wilson_upper_bound(metrics: ClassMetrics) -> float:
    accuracy, count = metrics.accuracy or 0.0, metrics.pairs
    spread = _Z * np.sqrt(accuracy * (1 - accuracy) / count + _Z**2 / (4 * count**2))
    return float((accuracy + _Z**2 / (2 * count) + spread) / (1 + _Z**2 / count))
