"""Split by time: train on the past, test on the newest data."""

import numpy as np
import numpy.typing as npt

from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DataError
from diptych.schemas.shards import SPLITS


def split_by_time(
    times: npt.NDArray[np.generic], dated: npt.NDArray[np.bool_] | None, split: SplitConfig
) -> npt.NDArray[np.uint8]:
    """Assign the oldest examples to training, the next to calibration and the newest to test.

    Examples with equal times stay together. Each boundary is the one between two distinct times
    that is closest to its fraction, so that every split has at least one time.

    Args:
      times: (n,) numbers; larger is newer.
      dated: (n,) True for dates, False for plain numbers; None if all are of one kind.
      split: Fractions of the splits.

    Returns:
      (n,) indices into ``SPLITS``.

    Raises:
      DataError: If dates and numbers are mixed, or there are fewer than three distinct times.
    """
    if dated is not None and dated.any() and not dated.all():
        raise DataError(
            f"data.time: {int(dated.sum()):,} rows have a date and {int((~dated).sum()):,} a plain "
            "number, which cannot be compared. Write all times in the same form."
        )
    distinct, counts = np.unique(times, return_counts=True)
    if len(distinct) < len(SPLITS):
        raise DataError(
            f"split.by = time needs at least {len(SPLITS)} distinct times, one for each split, got "
            f"{len(distinct)}. Check data.time, or split by example."
        )
    ends = np.cumsum(counts)
    first = _closest(ends, split.train * len(times), 0, len(distinct) - 3)
    second = _closest(
        ends, (split.train + split.calibration) * len(times), first + 1, len(distinct) - 2
    )
    numbers = np.searchsorted(distinct, times)
    return ((numbers > first).astype(np.uint8) + (numbers > second)).astype(np.uint8)


def _closest(ends: npt.NDArray[np.int64], target: float, low: int, high: int) -> int:
    """Return the last time of a split, from ``low`` to ``high``, whose end is closest."""
    return low + int(np.argmin(np.abs(ends[low : high + 1] - target)))
