"""A figure with its interval, and how well a table of distances tells one example's class."""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.schemas.evaluation import Estimate

_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Figure:
    """A share, and its 95 % interval by bootstrap over examples."""

    value: float
    interval: tuple[float, float]


def as_figure(estimate: Estimate) -> Figure:
    """Of an evaluation."""
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return Figure(estimate.value, (estimate.low, estimate.high))


def one_shot_accuracy(
    distance: npt.NDArray[np.float32], labels: npt.NDArray[np.str_]
) -> npt.NDArray[np.float64]:
    """How often each example is told right when one random example of each class is known.

    The mean over every choice of the known examples, so without drawing any: given the known one
    of its own class, the example is told right if that of each other class lies further away, and
    these are chosen independently. Equal distances count as wrong.

    Args:
      distance: (n, n), lower is more alike.
      labels: (n,); two examples or more of each class.

    Returns:
      (n,) in [0, 1].
    """
    right = np.empty(len(labels))
    for row, label in enumerate(labels):
        own = np.delete(distance[row], row)[np.delete(labels, row) == label]
        chance = np.ones(len(own))
        for other in np.unique(labels[labels != label]):
            theirs = np.sort(distance[row, labels == other])
            chance *= 1 - np.searchsorted(theirs, own, side="right") / len(theirs)
        right[row] = chance.mean()
    return right


def mean_with_interval(values: npt.NDArray[np.float64], seed: int = 0) -> Figure:
    """The mean of a figure of each example."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return Figure(float(values.mean()), (float(low), float(high)))
