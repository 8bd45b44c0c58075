"""Figures of each class, and which classes are worst."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from diptych.components.evaluator.retrieval import Found
from diptych.components.evaluator.scored_pairs import Judged
from diptych.schemas.evaluation import ClassFigures

_Z = 1.96  # 95 % of a normal distribution lie within


def class_figures(
    judged: Judged,
    threshold: float,
    labels: npt.NDArray[np.object_],
    seen: npt.NDArray[np.bool_],
    found: Found | None,
) -> tuple[ClassFigures, ...]:
    """Figures of each class; a pair counts for both of its classes, once if they agree.

    Args:
      judged: the pairs.
      threshold: the calibrated one.
      labels: (num_examples,) label of each example.
      seen: (num_examples,) whether its class was in the training split.
      found: what each example found among all others; None where there is nothing to find.

    Returns:
      One a class, by label.
    """
    names, first, number = np.unique(labels, return_index=True, return_inverse=True)
    right = judged.right_at(threshold)
    left, right_class = number[judged.left], number[judged.right]
    apart = left != right_class
    owner = np.concatenate([left, right_class[apart]])
    told = np.concatenate([right, right[apart]])
    same = np.concatenate([judged.is_same, judged.is_same[apart]])

    def mean(of: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> list[float | None]:
        count = np.bincount(of, minlength=len(names)).tolist()
        total = np.bincount(of, values, len(names)).tolist()
        return [t / c if c else None for t, c in zip(total, count, strict=True)]

    nothing = np.empty(0)
    recall = (
        mean(nothing.astype(np.int64), nothing)
        if found is None
        else mean(number[found.query], found.at_1)
    )
    columns = zip(
        (text_of(name) for name in names),
        seen[first].tolist(),
        np.bincount(number, minlength=len(names)).tolist(),
        np.bincount(owner, minlength=len(names)).tolist(),
        mean(owner, told),
        mean(owner[same], told[same]),
        mean(owner[~same], told[~same]),
        recall,
        strict=True,
    )
    fields = list(ClassFigures.model_fields)
    return tuple(ClassFigures(**dict(zip(fields, row, strict=True))) for row in columns)


def worst_classes(classes: Iterable[ClassFigures], n: int = 10) -> tuple[ClassFigures, ...]:
    """The classes with the lowest accuracy, the worst first.

    Ordered by the upper end of the 95 % interval of Wilson ("Probable Inference, the Law of
    Succession, and Statistical Inference", JASA 22, 1927), that is by what is surely bad: 1 of 2
    pairs wrong may be chance, 30 of 100 is not.

    Args:
      classes: those in no pair are left out, and those with every pair told right.
      n: at most so many.
    """
    faulty = [one for one in classes if one.accuracy is not None and one.accuracy < 1]
    return tuple(sorted(faulty, key=lambda one: (_at_best(one), one.label))[:n])


def text_of(label: object) -> str:
    """A label to read."""
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)


def _at_best(one: ClassFigures) -> float:
    share, count = one.accuracy or 0.0, one.pairs
    spread = _Z * np.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return float((share + _Z**2 / (2 * count) + spread) / (1 + _Z**2 / count))
