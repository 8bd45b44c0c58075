"""Select the columns of a vector: by name, prefix, list or count, or all numeric columns."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.common import cell_values as values
from diptych.components.common.cell_values import CellFormat
from diptych.components.common.table_rows import format_names, is_partition_key
from diptych.schemas.config.data import ColumnChoice
from diptych.schemas.errors import ConfigError, DataError
from diptych.schemas.input_spec import RESERVED, Column

_MIN_NUMERIC_FRACTION = 0.9  # of cells with a value; the others may be typing errors
# The index column that pandas writes by default. It is never part of a vector.
INDEX_COLUMNS = ("", "Unnamed: 0", "__index_level_0__")
# 1,234 or 1.234,5 or 1 234.5; Arrow has no look-ahead.
_GROUPED_NUMBER = (
    r"^[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+(?:\.[0-9]+)?|(?:\.[0-9]{3})+(?:,[0-9]+)?"
    r"|(?:[ '\x{00A0}\x{202F}\x{2019}][0-9]{3})+(?:[.,][0-9]+)?)$"
)
_DEFAULT_FORMAT = CellFormat()


@dataclasses.dataclass(frozen=True)
class ColumnSample:
    """Column types, inferred from the first rows of a file.

    Attributes:
      names: All columns in the order of the file.
      numeric: Columns of numbers.
      list_widths: Columns of number lists and their length; 0 if the length varies.
      example_cells: A cell of each column, for messages.
      unread_numbers: Columns of numbers with another decimal sign or with thousands separators,
        each with what to do.
      missing: Columns without any value.
      partition_keys: Columns that the names of folders give.
    """

    names: tuple[str, ...]
    numeric: frozenset[str]
    list_widths: Mapping[str, int]
    example_cells: Mapping[str, str]
    unread_numbers: Mapping[str, str]
    missing: frozenset[str]
    partition_keys: frozenset[str]


def inspect_columns(
    batch: pa.RecordBatch, names: Sequence[str], cell_format: CellFormat = _DEFAULT_FORMAT
) -> ColumnSample:
    """Infer the column types of some rows; ``names`` in the order of the file."""
    numeric, missing = set(), set()
    list_widths, example_cells, unread_numbers = {}, {}, {}
    partition_keys = frozenset(field.name for field in batch.schema if is_partition_key(field))
    for name in batch.schema.names:
        cells = batch.column(name)
        example_cells[name] = _show_first(cells)
        if values.is_list(cells.type):
            if values.is_number_list(cells.type):
                list_widths[name] = _find_list_width(cells)
        elif name in partition_keys:
            continue
        elif _is_numeric_column(cells, cell_format):
            numeric.add(name)
        elif cells.null_count == len(cells) or _has_no_value(cells, cell_format):
            missing.add(name)
        elif remedy := _find_unread_numbers(cells, cell_format):
            unread_numbers[name] = remedy
    return ColumnSample(
        tuple(names),
        frozenset(numeric),
        list_widths,
        example_cells,
        unread_numbers,
        frozenset(missing),
        partition_keys,
    )


def _show_first(cells: pa.Array) -> str:
    """Return the first of 100 cells that is not empty, for a message."""
    try:
        first = next((cell for cell in cells[:100].to_pylist() if cell not in (None, "")), None)
    except (OverflowError, LookupError, ValueError):  # a date in the year 10,000, a time zone
        return f"a {cells.type} that Python cannot represent"
    if isinstance(first, bytes):
        first = first.decode(errors="replace")
    return repr(first)[:40]


def require_column(name: str, names: Sequence[str], key: str) -> str:
    """Return ``name``, the value of the configuration key ``key``.

    Raises:
      ConfigError: If no column has this name.
    """
    if name not in names:
        similar = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {similar[0]!r}? " if similar else ""
        raise ConfigError(
            f"{key}: the data have no column {name!r}. {hint}"
            f"The columns are: {format_names(list(names))}."
        )
    return name


def select_columns(
    choice: ColumnChoice | None, key: str, sample: ColumnSample, assigned: Mapping[str, str]
) -> tuple[Column, ...]:
    """Select the columns of a vector, in the order of the configuration.

    Args:
      choice: A name, a prefix with ``*``, a list of these, or a number of columns. None selects
        every unassigned numeric column, or the only list column if no column is numeric.
      key: Configuration key, for messages.
      sample: Column types.
      assigned: Columns that another configuration key uses, with that key.

    Raises:
      ConfigError: If a column does not exist, is assigned or reserved, or is not numeric.
      DataError: If the lists of a column are empty or differ in length.
    """
    free = [name for name in sample.names if name not in assigned and name not in INDEX_COLUMNS]
    if choice is None or isinstance(choice, int):
        _refuse_unread_numbers(
            key, [name for name in free if name in sample.unread_numbers], sample
        )
        names = [name for name in free if name in sample.numeric]
        lists = [name for name in free if name in sample.list_widths]
        if choice is None:
            if names and lists:
                raise ConfigError(
                    f"{key}: the data have numeric columns ({format_names(names)}) and list "
                    f"columns ({format_names(lists)}). Name the columns of the vector."
                )
            if not names and len(lists) != 1:
                raise ConfigError(
                    f"{key}: the data have no numeric column and {len(lists)} list columns. The "
                    f"columns are: {format_names(sample.names)}. Name the columns of the vector."
                )
            names = names or lists
        elif choice > len(names):
            raise ConfigError(
                f"{key}: {choice} numeric columns requested, but only {len(names)} are available: "
                f"{format_names(names)}. Request at most {len(names)}."
            )
        else:
            names = names[:choice]
    else:
        patterns = [choice] if isinstance(choice, str) else choice
        names = [name for pattern in patterns for name in _expand(pattern, key, sample, free)]
    _check_vector_columns(names, key, sample, assigned)
    return tuple(Column(name=name, width=sample.list_widths.get(name, 1)) for name in names)


def _expand(pattern: str, key: str, sample: ColumnSample, free: Sequence[str]) -> list[str]:
    """Return the columns that match a name or a prefix with ``*``."""
    if not pattern.endswith("*") or pattern in sample.names:
        return [require_column(pattern, sample.names, key)]
    prefix = pattern[:-1]
    matches = [name for name in free if name.startswith(prefix)]
    _refuse_unread_numbers(key, [name for name in matches if name in sample.unread_numbers], sample)
    if not matches:
        raise ConfigError(
            f"{key}: no column starts with {prefix!r}. "
            f"The columns are: {format_names(sample.names)}. Use the prefix of some of them."
        )
    return matches


def _check_vector_columns(
    names: Sequence[str], key: str, sample: ColumnSample, assigned: Mapping[str, str]
) -> None:
    if not names:
        raise ConfigError(f"{key}: expected at least one column, got none.")
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise ConfigError(f"{key}: named more than once: {format_names(repeated)}. Name each once.")
    for name in names:
        if name in assigned:
            raise ConfigError(
                f"{key}: column {name!r} is already {assigned[name]} and cannot be part of the "
                "vector too. Remove it from one of them."
            )
    reserved = [name for name in names if name in RESERVED]
    if reserved:
        raise ConfigError(
            f"{key}: {format_names(reserved)} would be part of the vector, but these names are "
            f"reserved ({', '.join(RESERVED)}). Rename the column, or name the columns of the "
            "vector without it."
        )
    ambiguous = [name for name in names if sample.names.count(name) > 1]
    if ambiguous:
        raise DataError(f"Several columns are named {format_names(ambiguous)}. Rename them.")
    other = [
        name for name in names if name not in sample.numeric and name not in sample.list_widths
    ]
    _refuse_unread_numbers(key, [name for name in other if name in sample.unread_numbers], sample)
    if other:
        raise ConfigError(
            f"{key}: not numeric: {format_names(other)} "
            f"(such as {sample.example_cells.get(other[0])}). Name numeric columns only."
        )
    uneven = [name for name in names if sample.list_widths.get(name) == 0]
    if uneven:
        raise DataError(
            f"{key}: the lists of {format_names(uneven)} are empty or differ in length. "
            "Every row needs the same number of values."
        )


def _refuse_unread_numbers(key: str, names: Sequence[str], sample: ColumnSample) -> None:
    if names:
        raise ConfigError(
            f"{key}: the cells of {format_names(names, 6)}, such as "
            f"{sample.example_cells[names[0]]}, are not read as numbers. "
            f"{sample.unread_numbers[names[0]]}"
        )


def _has_no_value(cells: pa.Array, cell_format: CellFormat) -> bool:
    """Return whether all cells of a column are missing."""
    if pa.types.is_nested(cells.type):
        return False
    if values.is_text(cells.type) and not pa.types.is_large_binary(cells.type):
        return bool(values.as_text(cells, cell_format).null_count == len(cells))
    if not values.is_number(cells.type):
        return False
    return bool(np.all(values.as_floats(cells, cell_format)[1] == values.MISSING))


def _find_unread_numbers(cells: pa.Array, cell_format: CellFormat) -> str:
    """Return what to do about numbers with another decimal sign, or an empty text."""
    if not values.is_text(cells.type) or pa.types.is_large_binary(cells.type):
        return ""
    text = values.as_text(cells, cell_format).drop_null()
    grouped = pc.match_substring_regex(text, _GROUPED_NUMBER)
    plain = pc.match_substring_regex(text, r"^[+-]?[0-9]+$")
    is_grouped = pc.all(pc.or_(grouped, plain)).as_py() and pc.any(grouped).as_py()
    other = "," if cell_format.decimal == "." else "."
    with_other = dataclasses.replace(cell_format, decimal=other)
    is_decimal = _is_numeric_column(cells, with_other)
    if is_grouped:
        remedy = "Remove thousands separators"
        return f"{remedy}, or set data.decimal: {other!r}." if is_decimal else f"{remedy}."
    return f"Set data.decimal: {other!r}." if is_decimal else ""


def _find_list_width(cells: pa.Array) -> int:
    """Number of values of each list, also of nested lists; 0 if it varies."""
    lists, is_uneven = values.flatten_lists(cells.drop_null())
    lengths = set(pc.list_value_length(lists).unique().to_pylist())
    return int(lengths.pop()) if len(lengths) == 1 and not is_uneven.any() else 0


def _is_numeric_column(cells: pa.Array, cell_format: CellFormat) -> bool:
    """Return whether the cells with a value are numbers, true or false, in any type."""
    data_type = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    if not (
        values.is_number(data_type)
        or pa.types.is_boolean(data_type)
        or (values.is_text(data_type) and not pa.types.is_large_binary(data_type))
    ):
        return False
    _, problems = values.as_floats(cells, cell_format)
    num_good = int(np.sum(problems == values.OK))
    num_bad = int(np.sum((problems != values.OK) & (problems != values.MISSING)))
    return num_good > 0 and num_good >= _MIN_NUMERIC_FRACTION * (num_good + num_bad)
