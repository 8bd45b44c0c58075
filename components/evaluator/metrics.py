"""Figures of verification over judged pairs. A distance goes down when things are alike."""

import dataclasses

import numpy as np
from sklearn.metrics import confusion_matrix, roc_auc_score


@dataclasses.dataclass(frozen=True)
class Judged:
    """Pairs with their distances.

    ``left`` and ``right`` (m,) are rows of the distinct examples, of which there are
    ``num_examples``; ``same`` (m,) is 1 or 0; ``distance`` (m,) >= 0.
    """

    num_examples: int
    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    distance: np.ndarray


def accuracy(judged: Judged, threshold: float) -> float:
    """Share of pairs told right, where ``distance <= threshold`` means same."""
    return float(np.mean(_right(judged, threshold)))


def accuracy_interval(
    judged: Judged, threshold: float, resamples: int, seed: int
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the accuracy, over examples.

    Pairs that share an example are not independent, so examples are drawn, not pairs: an example
    drawn a times and another drawn b times count their pair a * b times.
    """
    right = _right(judged, threshold).astype(np.float64)
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = generator.integers(0, judged.num_examples, judged.num_examples)
        times = np.bincount(drawn, minlength=judged.num_examples)
        weight = times[judged.left] * times[judged.right]
        if weight.sum():
            values.append(float(weight @ right / weight.sum()))
    if not values:  # a handful of examples, and never both of a pair
        return 0.0, 1.0
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def roc_auc(judged: Judged) -> float:
    """Area under the ROC curve: how often a same pair is closer than a different one."""
    return float(roc_auc_score(judged.same, -judged.distance))


def confusion(judged: Judged, threshold: float) -> dict[str, int]:
    """Counts of same and different pairs, called same and called different."""
    called = (judged.distance <= threshold).astype(int)
    (tn, fp), (fn, tp) = confusion_matrix(judged.same, called, labels=[0, 1]).tolist()
    return {
        "same_called_same": tp,
        "same_called_different": fn,
        "different_called_same": fp,
        "different_called_different": tn,
    }


def per_class(judged: Judged, threshold: float, labels: np.ndarray) -> list[dict[str, object]]:
    """Pairs and accuracy of each class; a pair counts for both of its classes, once if they agree.

    Args:
      judged: the pairs.
      threshold: in the unit of the distance.
      labels: (num_examples,) label of each example.

    Returns:
      One dictionary a class, ordered by label.
    """
    names, number = np.unique(labels, return_inverse=True)
    right = _right(judged, threshold)
    left, right_class = number[judged.left], number[judged.right]
    apart = left != right_class
    owner = np.concatenate([left, right_class[apart]])
    told = np.concatenate([right, right[apart]])
    is_same = np.concatenate([judged.same == 1, judged.same[apart] == 1])

    def mean_where(chosen: np.ndarray) -> list[float | None]:
        count = np.bincount(owner[chosen], minlength=len(names))
        total = np.bincount(owner[chosen], weights=told[chosen], minlength=len(names))
        return [float(t / c) if c else None for t, c in zip(total, count, strict=True)]

    examples = np.bincount(number, minlength=len(names))
    pairs = np.bincount(owner, minlength=len(names))
    return [
        {
            "label": name,
            "examples": int(examples[row]),
            "pairs": int(pairs[row]),
            "accuracy": overall,
            "accuracy_same": same,
            "accuracy_different": different,
        }
        for row, (name, overall, same, different) in enumerate(
            zip(
                (_text(name) for name in names),
                mean_where(np.ones(len(owner), bool)),
                mean_where(is_same),
                mean_where(~is_same),
                strict=True,
            )
        )
    ]


def _text(label: object) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)


def _right(judged: Judged, threshold: float) -> np.ndarray:
    right: np.ndarray = (judged.distance <= threshold) == (judged.same == 1)
    return right
