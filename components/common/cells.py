"""Cells of rows as text and vectors; a row that cannot be used is given the reason."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.common import cell_values as values
from diptych.components.common.table_rows import Rows
from diptych.schemas.input_spec import Column

Reasons = npt.NDArray[np.object_]


def no_reasons(rows: Rows) -> Reasons:
    """(n,) None each; filled with the reason of each row that is set aside."""
    return np.full(rows.batch.num_rows, None, object)


def read_text(rows: Rows, column: str, reasons: Reasons) -> pa.Array:
    """The canonical text of a column; rows without any get a reason."""
    text = values.as_text(rows.batch.column(column))
    missing = text.is_null().to_numpy(zero_copy_only=False)
    give_reason(reasons, missing, values.reason(column, values.MISSING))
    return text


def read_vectors(
    rows: Rows, columns: Sequence[Column], reasons: Reasons
) -> npt.NDArray[np.float32]:
    """(n, sum of widths) float32; rows with a cell that is no number get a reason."""
    matrix = np.empty((rows.batch.num_rows, sum(column.width for column in columns)), np.float32)
    at = 0
    for column in columns:
        cells = rows.batch.column(column.name)
        if values.is_list(cells.type):
            part, problems = values.as_vectors(cells, column.width)
            matrix[:, at : at + column.width] = part
        else:
            matrix[:, at], problems = values.as_floats(cells)
        at += column.width
        for problem in np.unique(problems[problems != values.OK]):
            give_reason(reasons, problems == problem, values.reason(column.name, int(problem)))
    return matrix


def sort_out(
    name: str, rows: Rows, reasons: Reasons
) -> tuple[npt.NDArray[np.bool_], list[str], list[tuple[str, str]]]:
    """Which rows are good, where they come from, and which are rejected, why."""
    good = np.array([reason is None for reason in reasons], bool)
    sources = [f"{name}:{number}" for number in rows.numbers[good]]
    rejected = [
        (f"{name}:{number}", str(reason))
        for number, reason in zip(rows.numbers[~good], reasons[~good], strict=True)
    ]
    rejected += [(f"{name}:{number}", reason) for number, reason in rows.broken]
    return good, sources, rejected


def encoded(text: pa.Array, good: npt.NDArray[np.bool_]) -> list[bytes]:
    """UTF-8 of the good rows."""
    found: list[bytes] = text.filter(pa.array(good)).cast(pa.binary()).to_pylist()
    return found


def give_reason(reasons: Reasons, where: npt.NDArray[np.bool_], reason: str) -> None:
    """Gives some rows a reason to be set aside, where they have none yet."""
    for row in np.flatnonzero(where):
        if reasons[row] is None:  # the first reason stays
            reasons[row] = reason
