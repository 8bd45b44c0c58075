"""Means of figures of examples, with intervals by bootstrap over the examples."""

import numpy as np
import numpy.typing as npt

from diptych.components.evaluator.bootstrap import draw_times, estimate
from diptych.schemas.evaluation import Estimate

F64 = npt.NDArray[np.float64]


def estimate_means(values: F64, weights: F64, resamples: int, seed: int) -> list[Estimate]:
    """Weighted means, with 95 % intervals.

    An example that is drawn twice counts twice, with all that is known of it.

    Args:
      values: (n, figures), of each example.
      weights: (n,) above 0, of how many trials the values are the mean.
      resamples: of the bootstrap.
      seed: another seed, other drawings.

    Returns:
      One a figure.
    """
    weighted = np.concatenate([values, np.ones((len(values), 1))], axis=1) * weights[:, None]
    sums = np.concatenate([times @ weighted for times in draw_times(len(values), resamples, seed)])
    means = sums[:, :-1] / sums[:, -1:]
    value = weighted[:, :-1].sum(axis=0) / weights.sum()
    return [estimate(float(one), column) for one, column in zip(value, means.T, strict=True)]
