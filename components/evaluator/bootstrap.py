"""The bootstrap over examples.

Pairs that share an example are not independent: one bad picture spoils all of its pairs. So whole
examples are drawn with replacement, and a pair counts as often as its two examples were drawn,
``times[left] * times[right]``. Intervals over pairs would be too narrow. The method is the
"pigeonhole bootstrap" of Owen (Annals of Applied Statistics 1(2), 2007), with both sides of a pair
drawn from the same examples; it errs to the wide side.

An interval speaks of other examples of the same classes. Classes are not drawn.
"""

from collections.abc import Iterator

import numpy as np

from diptych.schemas.evaluation import Estimate

_LOW, _HIGH = 0.025, 0.975
_NUMBERS_AT_ONCE = 2**18  # of a table; a few such tables are in memory, 2 MB each


def draw_times(
    num_examples: int, resamples: int, seed: int, width: int = 0
) -> Iterator[np.ndarray]:
    """How often each example is drawn, some resamples at a time.

    Depends on the first three arguments alone, so two figures of one call to the next go together.

    Args:
      num_examples: as many are drawn, with replacement.
      resamples: in all.
      seed: another seed, other draws.
      width: of the widest table that the caller makes with a row for each resample, such as the
        number of pairs; it bounds the memory.

    Yields:
      (r, num_examples) int64, r >= 1.
    """
    generator = np.random.default_rng(seed)
    at_once = max(1, _NUMBERS_AT_ONCE // max(num_examples, width))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = generator.integers(0, num_examples, (rows, num_examples))
        drawn += np.arange(rows)[:, None] * num_examples
        times = np.bincount(drawn.ravel(), minlength=rows * num_examples)
        yield times.reshape(rows, num_examples)


def pair_weights(times: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(r, m) int64, how often each pair counts in each of r resamples."""
    weights: np.ndarray = np.take(times, left, axis=1)
    weights *= np.take(times, right, axis=1)
    return weights


def estimate(value: float | None, resampled: np.ndarray) -> Estimate:
    """A figure with its 95 % percentile interval.

    Args:
      value: the figure itself; None where it does not exist.
      resampled: (resamples,) the figure of each; NaN where it does not exist there, as without a
        same pair, which is left out.
    """
    known = resampled[~np.isnan(resampled)]
    if value is None or not len(known):
        return Estimate(value=value)
    low, high = np.quantile(known, [_LOW, _HIGH])
    return Estimate(value=value, low=float(low), high=float(high))
