"""Convert table cells to label text and vector numbers; one by one only if some are invalid.

A value has the same text and the same number in every file format and Arrow type.
"""

import dataclasses
import decimal
import functools
import re
from collections.abc import Callable, Collection

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.common.label_text import normalize_text
from diptych.schemas.config.data import Table
from diptych.schemas.errors import DataError

(
    OK,
    MISSING,
    NOT_A_NUMBER,
    NOT_FINITE,
    WRONG_WIDTH,
    MARKED_MISSING,
    NOT_TEXT,
    HAS_COMMA,
    HAS_POINT,
) = range(9)
_PROBLEM_TEXTS = {
    MISSING: "has no value",
    NOT_A_NUMBER: "is not a number",
    NOT_FINITE: "is not finite (infinite or too large)",
    WRONG_WIDTH: "has a different number of values than the first row",
    MARKED_MISSING: "has a value that data.missing lists as missing",
    NOT_TEXT: "is not text in UTF-8; for a CSV file in another encoding, set data.encoding",
    HAS_COMMA: "is not a number: it has a comma. If the comma is the decimal sign, set "
    'data.decimal: ","; remove thousands separators',
    HAS_POINT: "is not a number: it has a point, and data.decimal is a comma. Remove thousands "
    "separators, or correct data.decimal",
}

DEFAULT_MISSING: tuple[str, ...] = Table.model_fields["missing"].default
"""Cells that mean a missing value by default, next to empty cells; case is ignored."""

# 1.0 and 1 are the same class: spreadsheets and pandas write either. 007 and 1.50 are kept.
_INTEGER_WITH_FRACTION = r"^(-?(?:0|[1-9][0-9]*))\.0+$"
# What printf and pandas write for large and small numbers. "2E10" may be a code, and is kept.
_SCIENTIFIC = r"^-?[0-9](?:\.[0-9]+)?[eE][+-][0-9]{1,3}$"
# Writers differ in the separator, trailing zeros, the time of midnight and the name of UTC.
_TIMESTAMP = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?$"
)
_TIME_WITH_FRACTION = r"^[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]+$"

_OFFSET = r"[+-][0-9]{2}:[0-9]{2}"
_MAX_EXACT, _MAX_INTEGER = 2**53, 2**64

_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$|^[+-]?(?i:inf|infinity|nan)$"
_NUMBER_WITH_COMMA = r"^[+-]?[0-9][0-9.' ]*,[0-9]|^[+-]?,[0-9]"


@dataclasses.dataclass(frozen=True)
class CellFormat:
    """Notation of values in the text cells of a file.

    Attributes:
      decimal: Decimal sign of numbers, "." or ",".
      missing: Texts of missing values; case and surrounding white space are ignored. An empty cell
        is always missing.
    """

    decimal: str = "."
    missing: tuple[str, ...] = DEFAULT_MISSING


_DEFAULT_FORMAT = CellFormat()


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
        or types.is_string_view(data_type)
        or types.is_binary_view(data_type)
    )


def is_list(data_type: pa.DataType) -> bool:
    """Return whether cells of this type are lists; tensors of fixed shape are lists."""
    types = pa.types
    return bool(
        types.is_list(data_type)
        or types.is_large_list(data_type)
        or types.is_fixed_size_list(data_type)
        or isinstance(data_type, pa.FixedShapeTensorType)
    )


def is_number_list(data_type: pa.DataType) -> bool:
    """Return whether cells of this type are lists of numbers; lists may be nested."""
    if not is_list(data_type):
        return False
    while is_list(data_type):
        data_type = data_type.value_type
    return is_number(data_type) or bool(pa.types.is_boolean(data_type))


def is_number(data_type: pa.DataType) -> bool:
    """Return whether cells of this type are numbers, including decimals but not booleans."""
    types = pa.types
    return bool(
        types.is_integer(data_type) or types.is_floating(data_type) or types.is_decimal(data_type)
    )


def can_be_text(data_type: pa.DataType) -> bool:
    """Return whether cells of this type can be labels, ids or groups."""
    types = pa.types
    if types.is_dictionary(data_type):
        data_type = data_type.value_type
    if isinstance(data_type, pa.BaseExtensionType):
        data_type = data_type.storage_type
    return not (
        types.is_nested(data_type)
        or types.is_large_binary(data_type)
        or types.is_interval(data_type)
        or types.is_run_end_encoded(data_type)
    )


def as_text(cells: pa.Array, cell_format: CellFormat = _DEFAULT_FORMAT) -> pa.Array:
    """Convert labels and keys to canonical text, the same in every format and type.

    Text is normalized with ``normalize_text``. Integers have no fraction or exponent (1, 1.0, "1.0"
    and "1e+00" become ``1``), "007" is kept, booleans become ``True`` and ``False``, and midnight
    becomes a date.

    Returns:
      (n,) string; null for missing values and for bytes that are not UTF-8.

    Raises:
      DataError: If cells of this type have no text.
    """
    return as_checked_text(cells, cell_format)[0]


def as_checked_text(
    cells: pa.Array, cell_format: CellFormat = _DEFAULT_FORMAT
) -> tuple[pa.Array, npt.NDArray[np.int8]]:
    """Convert as ``as_text``; also return (n,) problems: OK, MISSING, MARKED_MISSING or NOT_TEXT.

    Raises:
      DataError: If cells of this type have no text.
    """
    if not pa.types.is_dictionary(cells.type):
        cells, problems = _to_plain_text(cells)
        cells = cells.dictionary_encode()
        words, indices = cells.dictionary, cells.indices
    else:
        words, word_problems = _to_plain_text(cells.dictionary)
        indices = cells.indices
        problems = _take_problems(word_problems, indices)
    # Each distinct text is converted once.
    words = _to_canonical(words)
    is_missing = _match_missing(words, cell_format.missing)
    words = pc.if_else(is_missing, pa.scalar(None, pa.string()), words)
    text = words.take(indices)
    problems[_to_mask(text.is_null()) & (problems == OK)] = MISSING
    problems[_to_mask(is_missing.take(indices))] = MARKED_MISSING
    return text, problems


def find_text_forms(
    cells: pa.Array, cell_format: CellFormat = _DEFAULT_FORMAT
) -> list[tuple[str, str]]:
    """List the distinct texts of a column, each with its canonical text.

    A text that differs from its canonical text by more than white space and normal form, such as
    1.0 and 1, is listed as the latter.
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary
    words = _to_plain_text(cells)[0].unique().drop_null()
    labels = as_text(words, cell_format)
    is_used = labels.is_valid()
    pairs = zip(words.filter(is_used).to_pylist(), labels.filter(is_used).to_pylist(), strict=True)
    return [(word if normalize_text(word) == label else label, label) for word, label in pairs]


def as_same_text(cells: pa.Array, cell_format: CellFormat = _DEFAULT_FORMAT) -> pa.Array:
    """Convert a same column to text; True, true, 1 and 1.0 become ``1``."""
    text = as_text(cells, cell_format)
    text = pc.if_else(pc.equal(text, "True"), "1", text)
    return pc.if_else(pc.equal(text, "False"), "0", text)


def as_floats(
    cells: pa.Array, cell_format: CellFormat = _DEFAULT_FORMAT
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Convert a column to numbers; true and false are 1 and 0.

    Returns:
      (n,) float32 values, and (n,) problems: OK, MISSING, NOT_A_NUMBER, HAS_COMMA,
      HAS_POINT or NOT_FINITE.
    """
    if pa.types.is_dictionary(cells.type):
        values, problems = as_floats(cells.dictionary, cell_format)
        rows = cells.indices.fill_null(0).to_numpy(zero_copy_only=False)
        problems = _take_problems(problems, cells.indices)
        if not len(values):
            return np.full(len(cells), np.nan, np.float32), problems
        return values[rows], problems
    problems = np.zeros(len(cells), np.int8)
    if is_text(cells.type):
        if cell_format.decimal == "." and (numbers := _cast_to_floats(cells)) is not None:
            pass
        else:
            numbers, problems = _parse_floats(cells, cell_format)
    else:
        try:
            numbers = cells.cast(pa.float64(), safe=False)
        except pa.ArrowNotImplementedError:  # such as dates
            numbers = pa.nulls(len(cells), pa.float64())
            problems[_to_mask(cells.is_valid())] = NOT_A_NUMBER
    with np.errstate(over="ignore"):
        values = numbers.to_numpy(zero_copy_only=False).astype(np.float32)
    values += np.float32(0)  # -0.0 becomes 0.0, so that equal vectors have equal ids
    problems[np.isnan(values) & (problems == OK)] = MISSING
    markers = _numeric_markers(cell_format.missing)
    if len(markers):
        problems[np.isin(values, markers) & (problems == OK)] = MISSING
    problems[~np.isfinite(values) & (problems == OK)] = NOT_FINITE
    return values, problems


def as_vectors(
    cells: pa.Array, width: int, cell_format: CellFormat = _DEFAULT_FORMAT
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Convert a list column to vectors; nested lists and tensors are flattened in C order.

    Returns:
      (n, width) float32 values, and (n,) problems.
    """
    cells, is_uneven = flatten_lists(cells)
    lengths = pc.list_value_length(cells).to_numpy(zero_copy_only=False)
    problems = np.where(np.isnan(lengths.astype(np.float64)), MISSING, WRONG_WIDTH).astype(np.int8)
    has_width = (lengths == width) & ~is_uneven
    problems[has_width] = OK
    flat, cell_problems = as_floats(pc.list_flatten(cells.filter(pa.array(has_width))), cell_format)
    values = np.zeros((len(cells), width), np.float32)
    values[has_width] = flat.reshape(-1, width)
    # A row has the first problem of its cells.
    cell_problems = cell_problems.reshape(-1, width)
    num_rows = len(cell_problems)
    first = np.argmax(cell_problems != OK, axis=1) if width else np.zeros(num_rows, np.int64)
    problems[has_width] = cell_problems[np.arange(num_rows), first]
    return values, problems


def flatten_lists(cells: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Flatten nested lists and tensors of each row in C order.

    Returns:
      (n,) lists of values, null for missing rows; and (n,) whether the inner lists of a row have
      another length than most.
    """
    if isinstance(cells.type, pa.FixedShapeTensorType):
        cells = cells.storage
    is_uneven = np.zeros(len(cells), bool)
    while is_list(cells.type.value_type):
        inner = pc.list_flatten(cells)
        num_lists = pc.list_value_length(cells).fill_null(0).to_numpy(zero_copy_only=False)
        lengths = pc.list_value_length(inner).fill_null(0).to_numpy(zero_copy_only=False)
        ends = np.concatenate([[0], np.cumsum(num_lists)])
        # Not that of the first row: if it is the bad one, it is not to reject all others.
        distinct, counts = np.unique(lengths, return_counts=True)
        usual = distinct[np.argmax(counts)] if len(distinct) else 0
        other = np.concatenate([[0], np.cumsum(lengths != usual)])
        is_uneven |= other[ends[1:]] > other[ends[:-1]]
        offsets = np.concatenate([[0], np.cumsum(lengths)])[ends]
        cells = pa.LargeListArray.from_arrays(
            pa.array(offsets, pa.int64()), pc.list_flatten(inner), mask=cells.is_null()
        )
    return cells, is_uneven


def _to_plain_text(cells: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int8]]:
    """Convert to text as it is; also return problems: OK or NOT_TEXT."""
    problems = np.zeros(len(cells), np.int8)
    if isinstance(cells.type, pa.UuidType):
        return pa.array(
            [None if cell is None else str(cell) for cell in cells.to_pylist()]
        ), problems
    if isinstance(cells.type, pa.ExtensionType):
        cells = cells.storage
    if pa.types.is_fixed_size_binary(cells.type):
        cells = cells.cast(pa.binary())
    if is_text(cells.type):
        try:
            return cells.cast(pa.string()), problems
        except pa.ArrowInvalid:
            text = pa.array([_decode_utf8(cell) for cell in cells.to_pylist()], pa.string())
            problems[_to_mask(pc.and_(text.is_null(), cells.is_valid()))] = NOT_TEXT
            return text, problems
    if pa.types.is_boolean(cells.type):
        return pc.if_else(cells, "True", "False"), problems
    if pa.types.is_float16(cells.type):
        # Not as float32: 0.1 would become 0.099975586.
        halves = cells.to_numpy(zero_copy_only=False).astype(np.float16)
        # Nor as a half from 2048 on: 65504 would become 65500.
        numbers = np.where(
            np.abs(halves) < 2048, halves.astype(str), np.float32(halves).astype(str)
        )
        return pa.array(numbers, pa.string(), mask=np.isnan(halves)), problems
    if pa.types.is_floating(cells.type):
        cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
    if pa.types.is_timestamp(cells.type) and re.fullmatch(_OFFSET, cells.type.tz or ""):
        return _write_with_offset(cells), problems
    try:
        return cells.cast(pa.string()), problems
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise DataError(
            f"A column of the type {cells.type} cannot be a label, an id or a group. Convert it to "
            "text or integers."
        ) from error


def _write_with_offset(times: pa.Array) -> pa.Array:
    """Convert times with a fixed offset such as +05:30, which Arrow does not write."""
    hours, minutes = map(int, times.type.tz.split(":"))
    seconds = 3600 * hours + (-60 if times.type.tz.startswith("-") else 60) * minutes
    offset = pa.scalar(seconds, pa.duration("s")).cast(pa.duration(times.type.unit))
    local = pc.add(times.cast(pa.timestamp(times.type.unit)), offset)
    return pc.binary_join_element_wise(local.cast(pa.string()), times.type.tz, "")


def _to_canonical(words: pa.Array) -> pa.Array:
    """Convert distinct plain texts to canonical text."""
    if pc.all(pc.string_is_ascii(words)).as_py() is False:
        # Arrow's own normalization decomposes where NFC composes.
        words = pa.array(
            [None if word is None else normalize_text(word) for word in words.to_pylist()],
            pa.string(),
        )
    words = pc.utf8_trim_whitespace(words)
    words = pc.if_else(pc.equal(words, ""), pa.scalar(None, pa.string()), words)
    lower = pc.ascii_lower(words)
    words = pc.if_else(pc.equal(lower, "true"), "True", words)
    words = pc.if_else(pc.equal(lower, "false"), "False", words)
    words = _replace_matches(words, _SCIENTIFIC, _to_positional)
    words = pc.replace_substring_regex(words, _INTEGER_WITH_FRACTION, r"\1")
    words = pc.if_else(pc.equal(words, "-0"), "0", words)
    words = _replace_matches(words, _TIMESTAMP, _shorten_timestamp)
    return _replace_matches(words, _TIME_WITH_FRACTION, _strip_zeros)


def _replace_matches(words: pa.Array, pattern: str, convert: Callable[[str], str]) -> pa.Array:
    matches = pc.match_substring_regex(words, pattern).fill_null(False)
    if not pc.any(matches).as_py():
        return words
    converted = [convert(word) for word in words.filter(matches).to_pylist()]
    return pc.replace_with_mask(words, matches, pa.array(converted, pa.string()))


def _to_positional(number: str) -> str:
    """Write a number without an exponent: 4.006381333001e+12 becomes 4006381333001.

    An exponent comes from a float. The digits of a large one are those of the nearest float, not of
    the integer that it stands for.
    """
    if _MAX_EXACT <= abs(float(number)) < _MAX_INTEGER:
        return str(int(float(number)))
    text = f"{decimal.Decimal(number):f}"
    return _strip_zeros(text) if "." in text else text


def _shorten_timestamp(text: str) -> str:
    date, time, fraction, zone = re.fullmatch(_TIMESTAMP, text).groups("")  # type: ignore[union-attr]
    zone = "Z" if zone in ("+00:00", "+0000") else re.sub(r"([0-9]{2})([0-9]{2})$", r"\1:\2", zone)
    time = _strip_zeros(time + fraction) if fraction else time
    return date if time == "00:00:00" and not zone else f"{date} {time}{zone}"


def _strip_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".")


def _match_missing(words: pa.Array, missing: Collection[str]) -> pa.Array:
    """Return whether each of some canonical texts means a missing value."""
    markers = pc.utf8_lower(_to_canonical(pa.array(missing, pa.string()))).drop_null()
    return pc.is_in(pc.utf8_lower(words), value_set=markers)


@functools.lru_cache
def _numeric_markers(missing: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Numbers that mean a missing value, such as -999."""
    numbers = (re.fullmatch(_NUMBER, marker.strip()) for marker in missing)
    return np.array([match.group() for match in numbers if match], np.float32)


def _take_problems(word_problems: npt.NDArray[np.int8], indices: pa.Array) -> npt.NDArray[np.int8]:
    """Problems of the rows of a dictionary column: those of their word, MISSING without one."""
    problems = pa.array(word_problems).take(indices).fill_null(MISSING)
    taken: npt.NDArray[np.int8] = problems.to_numpy(zero_copy_only=False).copy()
    return taken


def _decode_utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _cast_to_floats(text: pa.Array) -> pa.Array | None:
    """Convert text that holds numbers only; None if it holds anything else."""
    try:
        return text.cast(pa.string()).cast(pa.float64())
    except pa.ArrowInvalid:
        return None


def _parse_floats(
    cells: pa.Array, cell_format: CellFormat
) -> tuple[pa.Array, npt.NDArray[np.int8]]:
    """Convert text of which some cells are missing, true, false or not a number."""
    text, problems = _to_plain_text(cells)
    problems[problems == NOT_TEXT] = NOT_A_NUMBER
    text = pc.utf8_trim_whitespace(text)
    lower = pc.ascii_lower(text)
    is_missing = pc.or_(pc.equal(text, ""), _match_missing(text, cell_format.missing))
    text = pc.if_else(is_missing, pa.scalar(None, pa.string()), text)
    text = pc.if_else(pc.equal(lower, "true"), "1", text)
    text = pc.if_else(pc.equal(lower, "false"), "0", text)
    if cell_format.decimal == ",":
        problems[_to_mask(pc.match_substring(text, "."))] = HAS_POINT
        text = pc.replace_substring(text, ",", ".")
    else:
        problems[_to_mask(pc.match_substring_regex(text, _NUMBER_WITH_COMMA))] = HAS_COMMA
    is_number = _to_mask(pc.match_substring_regex(text, _NUMBER))
    is_invalid = _to_mask(text.is_valid()) & ~is_number & (problems == OK)
    problems[is_invalid] = NOT_A_NUMBER
    text = pc.if_else(pa.array(problems == OK), text, pa.scalar(None, pa.string()))
    text = pc.if_else(pc.starts_with(text, "+"), pc.utf8_slice_codeunits(text, 1), text)
    return text.cast(pa.float64()), problems


def _to_mask(values: pa.Array) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = values.fill_null(False).to_numpy(zero_copy_only=False)
    return mask
