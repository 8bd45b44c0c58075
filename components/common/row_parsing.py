"""Parse the cells of rows to text and vectors, and reject unusable rows with a reason."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.common import cell_values as values
from diptych.components.common.table_rows import TableRows
from diptych.schemas.input_spec import Column

RejectionReasons = npt.NDArray[np.object_]


def no_rejections(rows: TableRows) -> RejectionReasons:
    """Return (n,) None values, to be filled with the reason of each rejected row."""
    return np.full(rows.batch.num_rows, None, object)


def parse_text_column(rows: TableRows, column: str, reasons: RejectionReasons) -> pa.Array:
    """Convert a column to canonical text, and reject rows without a value."""
    text, problems = values.as_checked_text(rows.batch.column(column), rows.cells)
    _reject_problems(reasons, column, problems)
    return text


def parse_vector_columns(
    rows: TableRows, columns: Sequence[Column], reasons: RejectionReasons
) -> npt.NDArray[np.float32]:
    """Convert columns to (n, sum of widths) float32, and reject rows with an invalid number."""
    matrix = np.empty((rows.batch.num_rows, sum(column.width for column in columns)), np.float32)
    start = 0
    for column in columns:
        cells = rows.batch.column(column.name)
        if values.is_list(cells.type):
            vectors, problems = values.as_vectors(cells, column.width, rows.cells)
            matrix[:, start : start + column.width] = vectors
        elif column.width == 1:
            matrix[:, start], problems = values.as_floats(cells, rows.cells)
        else:  # such as a single number in one line of a JSON Lines file
            matrix[:, start : start + column.width] = 0
            is_null = cells.is_null().to_numpy(zero_copy_only=False)
            problems = np.where(is_null, values.MISSING, values.WRONG_WIDTH).astype(np.int8)
        start += column.width
        _reject_problems(reasons, column.name, problems)
    return matrix


def _reject_problems(
    reasons: RejectionReasons, column: str, problems: npt.NDArray[np.int8]
) -> None:
    for problem in np.unique(problems[problems != values.OK]):
        reject_rows(reasons, problems == problem, values.describe_problem(column, int(problem)))


def split_rejected(
    name: str, rows: TableRows, reasons: RejectionReasons
) -> tuple[npt.NDArray[np.bool_], list[str], list[tuple[str, str]]]:
    """Separate usable and rejected rows.

    Returns:
      (n,) mask of the usable rows, their sources, and source and reason of each rejected row,
      including malformed ones.
    """
    usable = np.array([reason is None for reason in reasons], bool)
    sources = [f"{name}:{number}" for number in rows.row_numbers[usable]]
    rejected = [
        (f"{name}:{number}", str(reason))
        for number, reason in zip(rows.row_numbers[~usable], reasons[~usable], strict=True)
    ]
    rejected += [(f"{name}:{number}", reason) for number, reason in rows.malformed]
    return usable, sources, rejected


def encode_text(text: pa.Array, usable: npt.NDArray[np.bool_]) -> list[bytes]:
    """Encode the text of the usable rows as UTF-8."""
    encoded: list[bytes] = text.filter(pa.array(usable)).cast(pa.binary()).to_pylist()
    return encoded


def reject_rows(reasons: RejectionReasons, mask: npt.NDArray[np.bool_], reason: str) -> None:
    """Set the reason of the rows in ``mask`` in place. The first reason of a row is kept."""
    for row in np.flatnonzero(mask):
        if reasons[row] is None:
            reasons[row] = reason
