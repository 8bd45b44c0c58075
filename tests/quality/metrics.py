"""A metric with its interval, and one-shot accuracy from a distance matrix."""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.schemas.evaluation import Estimate

_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Metric:
    """A value in [0, 1] and its 95 % interval by bootstrap over examples."""

    value: float
    interval: tuple[float, float]


def metric_from_estimate(estimate: Estimate) -> Metric:
    """Convert an estimate of an evaluation report, which must be defined."""
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return Metric(estimate.value, (estimate.low, estimate.high))


def one_shot_accuracy(
    distance: npt.NDArray[np.float32], labels: npt.NDArray[np.str_]
) -> npt.NDArray[np.float64]:
    """Compute how often each query is classified correctly with one support example per class.

    The result is the exact mean over all support sets. Given the support example of its own class,
    a query is correct if the support example of every other class is further away, and these are
    chosen independently. Ties count as errors.

    Args:
      distance: (n, n) distances; lower is more similar.
      labels: (n,) labels, with at least two examples per class.

    Returns:
      (n,) accuracies in [0, 1].
    """
    accuracy = np.empty(len(labels))
    for query, label in enumerate(labels):
        own = np.delete(distance[query], query)[np.delete(labels, query) == label]
        probability = np.ones(len(own))
        for other in np.unique(labels[labels != label]):
            sorted_others = np.sort(distance[query, labels == other])
            rank = np.searchsorted(sorted_others, own, side="right")
            probability *= 1 - rank / len(sorted_others)
        accuracy[query] = probability.mean()
    return accuracy


def mean_with_interval(values: npt.NDArray[np.float64], seed: int = 0) -> Metric:
    """Average a metric over examples, with an interval by bootstrap over the examples."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return Metric(float(values.mean()), (float(low), float(high)))
