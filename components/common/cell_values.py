"""Cells to values: text of labels, numbers of vectors; cell by cell only where some are bad."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

OK, MISSING, NOT_A_NUMBER, NOT_FINITE, WRONG_WIDTH = range(5)
_WHY = {
    MISSING: "has no value",
    NOT_A_NUMBER: "is not a number",
    NOT_FINITE: "is not finite (NaN, infinite or too large)",
    WRONG_WIDTH: "has another number of values than in the first row",
}

# 1.0 and 1 are one class: a spreadsheet or pandas writes either. 007 and 1.50 stay as they are.
_WHOLE = r"^(-?(?:0|[1-9][0-9]*))\.0+$"


def reason(column: str, problem: int) -> str:
    """Why a row was set aside, in words: the same for every row with that problem."""
    return f"column {column!r} {_WHY[problem]}"


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of this type are text (CSV cells are read as binary)."""
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def is_list(kind: pa.DataType) -> bool:
    """Whether cells of this type are lists."""
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether cells of this type are numbers; decimals are, booleans are not."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def as_text(cells: pa.Array) -> pa.Array:
    """The canonical text of labels and keys, the same from CSV as from Parquet.

    Whole numbers have no fraction (1, 1.0 and "1.0" are ``1``), "007" stays ``007``, booleans are
    ``True`` and ``False``, space around is dropped.

    Returns:
      (n,) string; null where there is no value, or bytes that are not UTF-8.
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_boolean(cells.type):
        return pc.if_else(cells, "True", "False")
    if is_text(cells.type):
        text = _decoded(cells)
    else:
        if pa.types.is_floating(cells.type):
            cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
        text = cells.cast(pa.string())
    text = pc.utf8_trim_whitespace(text)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return pc.replace_substring_regex(text, _WHOLE, r"\1")


def same_text(cells: pa.Array) -> pa.Array:
    """The text of a same column, where True, true, 1 and 1.0 mean the same."""
    text = as_text(cells)
    lower = pc.utf8_lower(text)
    text = pc.if_else(pc.equal(lower, "true"), "1", text)
    return pc.if_else(pc.equal(lower, "false"), "0", text)


def as_floats(cells: pa.Array) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Numbers of one column.

    Returns:
      (n,) float32, and (n,) a problem each: OK, MISSING, NOT_A_NUMBER or NOT_FINITE.
    """
    problems = np.zeros(len(cells), np.int8)
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if is_text(cells.type):
        try:
            numbers = cells.cast(pa.string()).cast(pa.float64())
        except pa.ArrowInvalid:
            numbers, problems = _floats_one_by_one(cells)
    else:
        numbers = cells.cast(pa.float64(), safe=False)
    problems[pc.is_null(numbers).to_numpy(zero_copy_only=False) & (problems == OK)] = MISSING
    with np.errstate(over="ignore"):
        values = numbers.to_numpy(zero_copy_only=False).astype(np.float32)
    values += np.float32(0)  # -0.0 becomes 0.0: equal vectors have equal ids
    problems[~np.isfinite(values) & (problems == OK)] = NOT_FINITE
    return values, problems


def as_vectors(cells: pa.Array, width: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Numbers of a list column.

    Returns:
      (n, width) float32, and (n,) a problem each.
    """
    lengths = pc.list_value_length(cells).to_numpy(zero_copy_only=False)
    problems = np.where(np.isnan(lengths.astype(np.float64)), MISSING, WRONG_WIDTH).astype(np.int8)
    fits = lengths == width
    problems[fits] = OK
    flat, inner = as_floats(pc.list_flatten(cells.filter(pa.array(fits))))
    values = np.zeros((len(cells), width), np.float32)
    values[fits] = flat.reshape(-1, width)
    # The first problem in the row names it.
    inner = inner.reshape(-1, width)
    first = np.argmax(inner != OK, axis=1) if width else np.zeros(len(inner), np.int64)
    problems[fits] = inner[np.arange(len(inner)), first]
    return values, problems


def _decoded(cells: pa.Array) -> pa.Array:
    try:
        return cells.cast(pa.string())
    except pa.ArrowInvalid:
        values = cells.cast(pa.binary()).to_pylist()
        return pa.array([_utf8(value) for value in values], pa.string())


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _floats_one_by_one(cells: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int8]]:
    values: list[float | None] = []
    problems = np.zeros(len(cells), np.int8)
    for row, cell in enumerate(cells.cast(pa.binary()).to_pylist()):
        value = None
        if cell is not None and cell.strip():
            try:
                value = float(cell)
            except ValueError:
                problems[row] = NOT_A_NUMBER
            if b"_" in cell:  # Python's own 1_000
                value, problems[row] = None, NOT_A_NUMBER
        values.append(value)
    return pa.array(values, pa.float64()), problems
