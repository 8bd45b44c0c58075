"""Runs of equal consecutive rows, such as the rows of one class in a sorted column."""

import numpy as np
import numpy.typing as npt


def mark_run_starts(*columns: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Mark the first row of each run of rows that are equal in all columns.

    Args:
      columns: Arrays (n,) of the same length, at least one.

    Returns:
      (n,) True for row 0, and for each row that differs from the preceding one in any column.
    """
    marks = np.ones(columns[0].size, bool)
    marks[1:] = False
    for column in columns:
        marks[1:] |= column[1:] != column[:-1]
    return marks


def run_starts(*columns: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Return the row numbers of the run starts, see ``mark_run_starts``."""
    return np.flatnonzero(mark_run_starts(*columns)).astype(np.int64)
