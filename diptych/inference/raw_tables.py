"""Rows of tables, streamed: a table of any size is read some thousand rows at a time."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from diptych.components.common import cell_values as values
from diptych.components.common.cells import no_reasons, read_vectors, sort_out
from diptych.components.common.data_files import TABLE_ENDINGS, is_table
from diptych.components.common.table_rows import (
    Rows,
    check_columns,
    is_parquet,
    read_rows,
    read_schema,
    row_group_sizes,
)
from diptych.inference.raw_batch import Part, RawBatch
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column
from diptych.schemas.manifest import ModelManifest

_VALUES_AT_ONCE, _MOST_ROWS = 1 << 20, 4096
_PART_BYTES = 64 << 20  # of a Parquet file, unpacked


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Columns of the vector, and those of the label and the id where there are such."""

    columns: tuple[Column, ...]
    label: str | None
    id: str | None

    @property
    def names(self) -> list[str]:
        """Each once."""
        others = [name for name in (self.label, self.id) if name is not None]
        return list(dict.fromkeys([*(column.name for column in self.columns), *others]))

    @property
    def rows_at_once(self) -> int:
        """Fewer of longer vectors."""
        width = sum(column.width for column in self.columns)
        return max(1, min(_MOST_ROWS, _VALUES_AT_ONCE // width))


@dataclasses.dataclass(frozen=True)
class TableRows:
    """The rows of a file; of some row groups of a Parquet file, None for all."""

    path: Path
    wanted: Wanted
    row_groups: tuple[int, ...] | None = None
    num_examples: int | None = None  # of CSV, only reading tells

    def read(self) -> Iterator[RawBatch]:
        """Some thousand rows at a time.

        Raises:
          DataError: the file is damaged.
        """
        name, most = self.path.name, self.wanted.rows_at_once
        for rows in read_rows(self.path, self.wanted.names, self.row_groups, most):
            for some in _sliced(rows, most):
                yield _batch(name, some, self.wanted)


@dataclasses.dataclass(frozen=True)
class TableRow:
    """One row, named by the user: nothing is to be done without it."""

    rows: TableRows
    number: int

    @property
    def num_examples(self) -> int:
        """See ``Part``."""
        return 1

    def read(self) -> Iterator[RawBatch]:
        """A batch of one.

        Raises:
          DataError: the row is not there, or cannot be used; or the file is damaged.
        """
        source = f"{self.rows.path.name}:{self.number}"
        for batch in self.rows.read():
            for name, reason in batch.rejected:
                if name == source:
                    raise DataError(f"{self.rows.path}:{self.number} cannot be used: {reason}.")
            if source in batch.sources:
                yield _one(batch, batch.sources.index(source))
                return
        raise DataError(
            f"{self.rows.path} has no row {self.number}. Rows are counted from 1, the header of a "
            "CSV file too, and blank lines not."
        )


def table_row(path: Path, number: int, manifest: ModelManifest) -> Part:
    """One row of a table, counted as in ``Rows``: the header of a CSV file is row 1.

    Raises:
      DataError: the table has not the model's columns.
    """
    wanted = _wanted([path], manifest)
    groups = None
    if is_parquet(path):
        ends = np.cumsum([rows for rows, _ in row_group_sizes(path)])
        group = int(np.searchsorted(ends, number - 1, side="right"))
        groups = (group,) if group < len(ends) else ()
    return TableRow(TableRows(path, wanted, groups), number)


def tables_in(folder: Path, manifest: ModelManifest) -> list[Part]:
    """The tables in a folder, by name; hidden ones are passed over.

    Raises:
      DataError: there is none, or one has not the model's columns.
    """
    names = sorted(
        name for name in os.listdir(folder) if is_table(name) and not name.startswith((".", "_"))
    )
    paths = [folder / name for name in names if (folder / name).is_file()]
    if not paths:
        raise DataError(
            f"No tables ({', '.join(TABLE_ENDINGS)}) in {folder}. Name a folder that has some, or "
            "a file."
        )
    return table_rows(paths, manifest)


def table_rows(paths: Sequence[Path], manifest: ModelManifest) -> list[Part]:
    """All rows of some tables, large Parquet files in parts.

    Raises:
      DataError: one has not the model's columns.
    """
    wanted = _wanted(paths, manifest)
    parts: list[Part] = []
    for path in paths:
        if not is_parquet(path):
            parts.append(TableRows(path, wanted))
            continue
        sizes = row_group_sizes(path)
        for groups in _cut(sizes):
            parts.append(TableRows(path, wanted, groups, sum(sizes[group][0] for group in groups)))
    return parts


def _wanted(paths: Sequence[Path], manifest: ModelManifest) -> Wanted:
    columns, data = manifest.inputs.columns, manifest.configuration.get("data", {})
    schemas = [read_schema(path) for path in paths]
    for path, schema in zip(paths, schemas, strict=True):
        _check_schema(path, schema, columns)

    def there(part: str) -> str | None:
        """The column that has this part in the data, if every table has it."""
        name = data.get(part)
        if name is None or any(schema.names.count(name) != 1 for schema in schemas):
            return None
        return (
            None
            if any(pa.types.is_nested(schema.field(name).type) for schema in schemas)
            else str(name)
        )

    return Wanted(columns, there("label"), there("id"))


def _check_schema(path: Path, schema: pa.Schema, columns: Sequence[Column]) -> None:
    if not schema.names:
        raise DataError(f"{path} is empty (0 bytes). Check how it was written.")
    check_columns(path, schema.names, [column.name for column in columns])
    for column in columns:
        kind = schema.field(column.name).type
        if not _may_hold(kind, column.width):
            wanted = "numbers" if column.width == 1 else f"lists of {column.width} numbers"
            got = "text" if values.is_text(kind) else str(kind)
            raise DataError(
                f"{path}: the model needs {wanted} in the column {column.name!r}, got {got}. "
                "Write the column so; lists need Parquet."
            )


def _may_hold(kind: pa.DataType, width: int) -> bool:
    """Whether cells of this type may be numbers, or lists of them; text may be numbers."""
    if values.is_list(kind):
        return values.is_number(kind.value_type)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return width == 1 and (
        values.is_number(kind) or values.is_text(kind) or bool(pa.types.is_boolean(kind))
    )


def _batch(name: str, rows: Rows, wanted: Wanted) -> RawBatch:
    reasons = no_reasons(rows)
    vectors = read_vectors(rows, wanted.columns, reasons)
    good, sources, rejected = sort_out(name, rows, reasons)

    def texts(column: str | None) -> tuple[str, ...] | None:
        if column is None:
            return None
        text = values.as_text(rows.batch.column(column)).filter(pa.array(good))
        return tuple(text.fill_null("").to_pylist())

    return RawBatch(
        values=vectors[good],
        sources=tuple(sources),
        labels=texts(wanted.label),
        rejected=tuple(rejected),
        ids=texts(wanted.id),
    )


def _one(batch: RawBatch, row: int) -> RawBatch:
    return RawBatch(
        values=batch.values[row : row + 1],
        sources=batch.sources[row : row + 1],
        labels=None if batch.labels is None else batch.labels[row : row + 1],
        rejected=(),
        ids=None if batch.ids is None else batch.ids[row : row + 1],
    )


def _sliced(rows: Rows, most: int) -> Iterator[Rows]:
    """So many rows at a time; broken ones are told with the first."""
    for start in range(0, max(rows.batch.num_rows, 1), most):
        yield Rows(
            rows.batch.slice(start, most),
            rows.numbers[start : start + most],
            () if start else rows.broken,
        )


def _cut(sizes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    groups: list[int] = []
    size = 0
    for group, (_, num_bytes) in enumerate(sizes):
        if groups and size + num_bytes > _PART_BYTES:
            yield tuple(groups)
            groups, size = [], 0
        groups.append(group)
        size += num_bytes
    if groups:
        yield tuple(groups)
