"""Bootstrap over examples.

Pairs that share an example are not independent: one bad image affects all of its pairs. The
bootstrap therefore draws examples with replacement and weights each pair by
``counts[left] * counts[right]``. Resampling pairs would give intervals that are too narrow. The
method is the "pigeonhole bootstrap" of Owen (Annals of Applied Statistics 1(2), 2007), with both
sides of a pair drawn from the same examples; its intervals tend to be too wide rather than too
narrow.

An interval covers other examples of the same classes. Classes are not resampled.
"""

from collections.abc import Iterator

import numpy as np

from diptych.schemas.evaluation import Estimate

_LOW, _HIGH = 0.025, 0.975
# Cells of a resamples x width table. A few such tables, 2 MB each, are in memory.
_CELLS_PER_BATCH = 2**18


def draw_bootstrap_counts(
    num_examples: int, resamples: int, seed: int, width: int = 0
) -> Iterator[np.ndarray]:
    """Draw how often each example occurs in each resample, in batches of resamples.

    The draws depend only on the first three arguments, so metrics computed in separate calls use
    the same resamples.

    Args:
      num_examples: Number of examples; each resample draws this many with replacement.
      resamples: Total number of resamples.
      seed: Seed of the random generator.
      width: Number of columns of the widest table that the caller builds with one row per
        resample, such as the number of pairs. It bounds the memory.

    Yields:
      (r, num_examples) int64 counts, r >= 1.
    """
    generator = np.random.default_rng(seed)
    batch_size = max(1, _CELLS_PER_BATCH // max(num_examples, width))
    for start in range(0, resamples, batch_size):
        rows = min(batch_size, resamples - start)
        drawn = generator.integers(0, num_examples, (rows, num_examples))
        drawn += np.arange(rows)[:, None] * num_examples
        counts = np.bincount(drawn.ravel(), minlength=rows * num_examples)
        yield counts.reshape(rows, num_examples)


def bootstrap_pair_weights(counts: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Compute the weight of each of m pairs in each of r resamples, (r, m) int64."""
    weights: np.ndarray = np.take(counts, left, axis=1)
    weights *= np.take(counts, right, axis=1)
    return weights


def make_estimate(value: float | None, resampled: np.ndarray) -> Estimate:
    """Combine a metric with its 95 % percentile interval.

    Args:
      value: Metric on the original examples; None if undefined.
      resampled: (resamples,) metric on each resample. NaN marks resamples where it is undefined,
        for example without positive pairs; these are ignored.
    """
    defined = resampled[~np.isnan(resampled)]
    if value is None or not len(defined):
        return Estimate(value=value)
    low, high = np.quantile(defined, [_LOW, _HIGH])
    return Estimate(value=value, low=float(low), high=float(high))
