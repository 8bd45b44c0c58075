"""Convert table cells to label text and vector numbers; one by one only if some are invalid."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

OK, MISSING, NOT_A_NUMBER, NOT_FINITE, WRONG_WIDTH = range(5)
_PROBLEM_TEXTS = {
    MISSING: "has no value",
    NOT_A_NUMBER: "is not a number",
    NOT_FINITE: "is not finite (NaN, infinite or too large)",
    WRONG_WIDTH: "has a different number of values than the first row",
}

# 1.0 and 1 are the same class: spreadsheets and pandas write either. 007 and 1.50 are kept.
_INTEGER_WITH_FRACTION = r"^(-?(?:0|[1-9][0-9]*))\.0+$"


def describe_problem(column: str, problem: int) -> str:
    """Describe why a row was rejected. Rows with the same problem have the same text."""
    return f"column {column!r} {_PROBLEM_TEXTS[problem]}"


def is_text(data_type: pa.DataType) -> bool:
    """Return whether cells of this type are text (CSV cells are read as binary)."""
    types = pa.types
    return bool(
        types.is_string(data_type)
        or types.is_large_string(data_type)
        or types.is_binary(data_type)
        or types.is_large_binary(data_type)
    )


def is_list(data_type: pa.DataType) -> bool:
    """Return whether cells of this type are lists."""
    types = pa.types
    return bool(
        types.is_list(data_type)
        or types.is_large_list(data_type)
        or types.is_fixed_size_list(data_type)
    )


def is_number(data_type: pa.DataType) -> bool:
    """Return whether cells of this type are numbers, including decimals but not booleans."""
    types = pa.types
    return bool(
        types.is_integer(data_type) or types.is_floating(data_type) or types.is_decimal(data_type)
    )


def as_text(cells: pa.Array) -> pa.Array:
    """Convert labels and keys to canonical text, the same from CSV and from Parquet.

    Integers have no fraction (1, 1.0 and "1.0" become ``1``), "007" is kept, booleans become
    ``True`` and ``False``, surrounding white space is removed.

    Returns:
      (n,) string; null for missing values and for bytes that are not UTF-8.
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_boolean(cells.type):
        return pc.if_else(cells, "True", "False")
    if is_text(cells.type):
        text = _decode_text(cells)
    else:
        if pa.types.is_floating(cells.type):
            cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
        text = cells.cast(pa.string())
    text = pc.utf8_trim_whitespace(text)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return pc.replace_substring_regex(text, _INTEGER_WITH_FRACTION, r"\1")


def as_same_text(cells: pa.Array) -> pa.Array:
    """Convert a same column to text; True, true, 1 and 1.0 become ``1``."""
    text = as_text(cells)
    lower = pc.utf8_lower(text)
    text = pc.if_else(pc.equal(lower, "true"), "1", text)
    return pc.if_else(pc.equal(lower, "false"), "0", text)


def as_floats(cells: pa.Array) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Convert a column to numbers.

    Returns:
      (n,) float32 values, and (n,) problems: OK, MISSING, NOT_A_NUMBER or NOT_FINITE.
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
    values += np.float32(0)  # -0.0 becomes 0.0, so that equal vectors have equal ids
    problems[~np.isfinite(values) & (problems == OK)] = NOT_FINITE
    return values, problems


def as_vectors(cells: pa.Array, width: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Convert a list column to vectors.

    Returns:
      (n, width) float32 values, and (n,) problems.
    """
    lengths = pc.list_value_length(cells).to_numpy(zero_copy_only=False)
    problems = np.where(np.isnan(lengths.astype(np.float64)), MISSING, WRONG_WIDTH).astype(np.int8)
    has_width = lengths == width
    problems[has_width] = OK
    flat, cell_problems = as_floats(pc.list_flatten(cells.filter(pa.array(has_width))))
    values = np.zeros((len(cells), width), np.float32)
    values[has_width] = flat.reshape(-1, width)
    # A row has the first problem of its cells.
    cell_problems = cell_problems.reshape(-1, width)
    num_rows = len(cell_problems)
    first = np.argmax(cell_problems != OK, axis=1) if width else np.zeros(num_rows, np.int64)
    problems[has_width] = cell_problems[np.arange(num_rows), first]
    return values, problems


def _decode_text(cells: pa.Array) -> pa.Array:
    try:
        return cells.cast(pa.string())
    except pa.ArrowInvalid:
        values = cells.cast(pa.binary()).to_pylist()
        return pa.array([_decode_utf8(value) for value in values], pa.string())


def _decode_utf8(value: bytes | None) -> str | None:
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
            if b"_" in cell:  # float() accepts 1_000
                value, problems[row] = None, NOT_A_NUMBER
        values.append(value)
    return pa.array(values, pa.float64()), problems
