"""Means of per-query metrics, with intervals by bootstrap over the queries."""

import numpy as np
import numpy.typing as npt

from diptych.components.evaluator.bootstrap import draw_bootstrap_counts, make_estimate
from diptych.schemas.evaluation import Estimate

F64 = npt.NDArray[np.float64]


def estimate_query_means(values: F64, weights: F64, resamples: int, seed: int) -> list[Estimate]:
    """Estimate weighted means over queries, with 95 % intervals.

    A query that a resample draws twice counts twice, with all of its trials.

    Args:
      values: (n, metrics) mean metric values of each query over its trials.
      weights: (n,) number of trials of each query, above 0.
      resamples: Number of bootstrap resamples.
      seed: Seed of the bootstrap.

    Returns:
      One estimate per metric.
    """
    weighted = np.concatenate([values, np.ones((len(values), 1))], axis=1) * weights[:, None]
    sums = np.concatenate(
        [counts @ weighted for counts in draw_bootstrap_counts(len(values), resamples, seed)]
    )
    resampled = sums[:, :-1] / sums[:, -1:]
    means = weighted[:, :-1].sum(axis=0) / weights.sum()
    return [
        make_estimate(float(mean), column) for mean, column in zip(means, resampled.T, strict=True)
    ]
