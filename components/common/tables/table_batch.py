"""Rows of a table file, as all readers return them."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.common.cell_values import CellFormat


@dataclasses.dataclass(frozen=True)
class TableRows:
    """Rows of a file.

    Attributes:
      batch: The requested columns.
      row_numbers: (n,) Row numbers as in a spreadsheet: the header of a CSV is row 1, blank lines
        are not counted. The first row of other files is 1.
      malformed: Number and reason of rows that cannot be parsed, not in ``batch``.
      cells: How text cells represent values.
    """

    batch: pa.RecordBatch
    row_numbers: npt.NDArray[np.int64]
    malformed: Sequence[tuple[int, str]]
    cells: CellFormat = dataclasses.field(default_factory=CellFormat)


def to_single_line(error: Exception) -> str:
    """Return the text of an error in one line, without the final full stop."""
    return " ".join(str(error).split()).rstrip(".")
