"""Which columns the vector is made of: by name, prefix, list, number, or all that are numeric."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.common import cell_values as values
from diptych.components.common.table_rows import listed
from diptych.schemas.config.data import ColumnChoice
from diptych.schemas.errors import ConfigError, DataError
from diptych.schemas.input_spec import RESERVED, Column

_NUMERIC_SHARE = 0.9  # of cells with a value; the rest may be typing errors
_NO_VALUE = frozenset({b"na", b"n/a", b"null", b"none", b"nan", b"?", b"-"})
# Row numbers that pandas writes when nobody asks it not to: never a part of a vector.
_ROW_NUMBERS = ("", "Unnamed: 0", "__index_level_0__")


@dataclasses.dataclass(frozen=True)
class Sample:
    """Some first rows of a file.

    Attributes:
      names: all columns in the order of the file.
      numeric: those that hold numbers.
      widths: those that hold lists of numbers, and how many; 0 where that varies.
      shown: a cell of each column, for messages.
    """

    names: tuple[str, ...]
    numeric: frozenset[str]
    widths: Mapping[str, int]
    shown: Mapping[str, str]


def look_at(batch: pa.RecordBatch, names: Sequence[str]) -> Sample:
    """Finds out what the columns of some rows hold; ``names`` in the order of the file."""
    numeric, widths, shown = set(), {}, {}
    for name in batch.schema.names:
        cells = batch.column(name)
        first = next(
            (cell for cell in cells.slice(0, 100).to_pylist() if cell not in (None, "")), None
        )
        shown[name] = repr(first.decode(errors="replace") if isinstance(first, bytes) else first)[
            :40
        ]
        if values.is_list(cells.type):
            if values.is_number(cells.type.value_type):
                lengths = set(_lengths(cells))
                widths[name] = lengths.pop() if len(lengths) == 1 else 0
        elif _is_numeric(cells):
            numeric.add(name)
    return Sample(tuple(names), frozenset(numeric), widths, shown)


def find_column(name: str, names: Sequence[str], part: str) -> str:
    """Raises ConfigError if ``name``, from the key ``part``, is no column."""
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"{part}: there is no column {name!r}. {hint}The columns are: {listed(list(names))}."
        )
    return name


def choose(
    choice: ColumnChoice | None, part: str, sample: Sample, taken: Mapping[str, str]
) -> tuple[Column, ...]:
    """The columns of a vector, in the user's order.

    Args:
      choice: a name, a prefix with ``*``, a list of either, a number of columns; or None: every
        numeric column that has no other part, or else the only list column.
      part: the key of the configuration, for messages.
      sample: what the columns hold.
      taken: columns that have another part, and which.

    Raises:
      ConfigError: a column does not exist, has another part or a reserved name, or is not numeric.
      DataError: a list column has no values, or not always as many.
    """
    free = [name for name in sample.names if name not in taken and name not in _ROW_NUMBERS]
    if choice is None or isinstance(choice, int):
        names = [name for name in free if name in sample.numeric]
        lists = [name for name in free if name in sample.widths]
        if choice is None:
            if names and lists:
                raise ConfigError(
                    f"{part}: there are numeric columns ({listed(names)}) and list columns "
                    f"({listed(lists)}). Name the ones that make the vector."
                )
            if not names and len(lists) != 1:
                raise ConfigError(
                    f"{part}: no numeric column to make a vector of, and {len(lists)} list columns."
                    f" The columns are: {listed(sample.names)}. Name the ones that make the vector."
                )
            names = names or lists
        elif choice > len(names):
            raise ConfigError(
                f"{part}: {choice} numeric columns are asked for, and {len(names)} are left: "
                f"{listed(names)}."
            )
        else:
            names = names[:choice]
    else:
        wanted = [choice] if isinstance(choice, str) else choice
        names = [name for pattern in wanted for name in _matching(pattern, part, sample, free)]
    _check(names, part, sample, taken)
    return tuple(Column(name=name, width=sample.widths.get(name, 1)) for name in names)


def _matching(pattern: str, part: str, sample: Sample, free: Sequence[str]) -> list[str]:
    if not pattern.endswith("*") or pattern in sample.names:
        return [find_column(pattern, sample.names, part)]
    prefix = pattern[:-1]
    found = [name for name in free if name.startswith(prefix)]
    if not found:
        raise ConfigError(
            f"{part}: no column begins with {prefix!r}. The columns are: {listed(sample.names)}."
        )
    return found


def _check(names: Sequence[str], part: str, sample: Sample, taken: Mapping[str, str]) -> None:
    if not names:
        raise ConfigError(f"{part}: needs at least one column, got none.")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ConfigError(f"{part}: named more than once: {listed(twice)}. Name each once.")
    for name in names:
        if name in taken:
            raise ConfigError(
                f"{part}: column {name!r} is {taken[name]} already, and cannot be a part of the "
                "vector too. Take it out of one of them."
            )
    reserved = [name for name in names if name in RESERVED]
    if reserved:
        raise ConfigError(
            f"{part}: {listed(reserved)} would be a part of the vector, but these names are "
            f"Diptych's own ({', '.join(RESERVED)}). Rename the column, or name the columns of the "
            "vector without it."
        )
    several = [name for name in names if sample.names.count(name) > 1]
    if several:
        raise DataError(f"Several columns are named {listed(several)}. Rename them.")
    other = [name for name in names if name not in sample.numeric and name not in sample.widths]
    if other:
        raise ConfigError(
            f"{part}: not numeric: {listed(other)} (such as {sample.shown.get(other[0])}). "
            "Name numeric columns only."
        )
    uneven = [name for name in names if sample.widths.get(name) == 0]
    if uneven:
        raise DataError(
            f"{part}: the lists of {listed(uneven)} are empty or differ in length. "
            "Every row needs as many values."
        )


def _lengths(cells: pa.Array) -> list[int]:
    found: list[int] = pc.list_value_length(cells.drop_null()).unique().to_pylist()
    return found


def _is_numeric(cells: pa.Array) -> bool:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if values.is_number(cells.type) or pa.types.is_boolean(cells.type):
        return True
    if not values.is_text(cells.type) or pa.types.is_large_binary(cells.type):
        return False
    _, problems = values.as_floats(cells)
    bad = cells.filter(pa.array(problems == values.NOT_A_NUMBER)).cast(pa.binary()).to_pylist()
    num_bad = sum(cell.strip().lower() not in _NO_VALUE for cell in bad)
    num_good = int(np.sum(problems == values.OK))
    return num_good > 0 and num_good >= _NUMERIC_SHARE * (num_good + num_bad)
