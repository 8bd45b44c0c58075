"""Deterministic subsampling of rows."""

import numpy as np
import numpy.typing as npt


def evenly_spaced(count: int, max_rows: int) -> npt.NDArray[np.int64]:
    """Return at most ``max_rows`` of the row numbers 0 .. count - 1, at even steps.

    Args:
      count: Number of rows to choose from.
      max_rows: Maximum number of rows to return. All rows are returned if ``count`` is not larger.
    """
    if count <= max_rows:
        return np.arange(count, dtype=np.int64)
    return np.arange(max_rows, dtype=np.int64) * count // max_rows
