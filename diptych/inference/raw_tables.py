"""Read rows of tables as a stream, a few thousand at a time."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from diptych.components.common import cell_values as values
from diptych.components.common.data_files import TABLE_EXTENSIONS, find_tables
from diptych.components.common.row_parsing import (
    no_rejections,
    parse_vector_columns,
    split_rejected,
)
from diptych.components.common.table_rows import (
    TableRows,
    TextSettings,
    check_columns,
    is_parquet,
    read_schema,
    read_table_rows,
    row_group_sizes,
)
from diptych.components.common.tables.file_formats import detect_table_format, find_foreign_file
from diptych.components.common.tables.text_format import adapt_settings
from diptych.inference.raw_batch import InputPartition, RawBatch
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column
from diptych.schemas.manifest import ModelManifest

_BATCH_VALUES, _BATCH_ROWS = 1 << 20, 4096
_PARTITION_BYTES = 64 << 20  # of a Parquet file, uncompressed


@dataclasses.dataclass(frozen=True)
class SelectedColumns:
    """Columns to read: those of the vector, and the label and id columns if present."""

    vector: tuple[Column, ...]
    label: str | None
    id: str | None

    @property
    def names(self) -> list[str]:
        """Names without duplicates."""
        others = [name for name in (self.label, self.id) if name is not None]
        return list(dict.fromkeys([*(column.name for column in self.vector), *others]))

    @property
    def batch_size(self) -> int:
        """Number of rows per batch; fewer for longer vectors."""
        width = sum(column.width for column in self.vector)
        return max(1, min(_BATCH_ROWS, _BATCH_VALUES // width))


@dataclasses.dataclass(frozen=True)
class TablePartition:
    """Rows of a file; of a Parquet file, ``row_groups`` selects some row groups, None all."""

    path: Path
    columns: SelectedColumns
    row_groups: tuple[int, ...] | None = None
    num_examples: int | None = None  # the number of rows of a CSV file is unknown before reading
    settings: TextSettings = dataclasses.field(default_factory=TextSettings)

    def read(self) -> Iterator[RawBatch]:
        """Read the rows in batches of up to a few thousand.

        Raises:
          DataError: If the file is damaged.
        """
        batch_size = self.columns.batch_size
        for rows in read_table_rows(
            self.path, self.columns.names, self.row_groups, batch_size, self.settings
        ):
            for chunk in _slice_rows(rows, batch_size):
                yield _to_raw_batch(self.path.name, chunk, self.columns)


@dataclasses.dataclass(frozen=True)
class SingleRowPartition:
    """One row named by the user; an unusable row is an error."""

    rows: TablePartition
    number: int

    @property
    def num_examples(self) -> int:
        """See ``InputPartition``."""
        return 1

    def read(self) -> Iterator[RawBatch]:
        """Read a batch of one row.

        Raises:
          DataError: If the row is missing or unusable, or the file is damaged.
        """
        source = f"{self.rows.path.name}:{self.number}"
        for batch in self.rows.read():
            for name, reason in batch.rejected:
                if name == source:
                    raise DataError(f"{self.rows.path}:{self.number} cannot be used: {reason}.")
            if source in batch.sources:
                yield _select_row(batch, batch.sources.index(source))
                return
        raise DataError(
            f"{self.rows.path} has no row {self.number}. Rows are numbered from 1, including the "
            "header of a CSV file and without blank lines."
        )


def single_row_partition(path: Path, number: int, manifest: ModelManifest) -> InputPartition:
    """Create the partition of one row, numbered as in ``TableRows``.

    Raises:
      DataError: If the table lacks columns of the model.
    """
    settings = choose_settings(path, manifest)
    columns = _select_columns([path], [settings], manifest)
    groups = None
    if is_parquet(path):
        ends = np.cumsum([rows for rows, _ in row_group_sizes(path)])
        group = int(np.searchsorted(ends, number - 1, side="right"))
        groups = (group,) if group < len(ends) else ()
    partition = TablePartition(path, columns, groups, settings=settings)
    return SingleRowPartition(partition, number)


def table_folder_partitions(folder: Path, manifest: ModelManifest) -> list[InputPartition]:
    """Split the tables in a folder, sorted by name, into partitions; skip hidden files.

    Raises:
      DataError: If the folder contains no table, or a table lacks columns of the model.
    """
    paths = [folder / name for name in find_tables(str(folder))]
    if not paths:
        foreign = find_foreign_file(folder)
        if foreign is not None:
            raise DataError(f"No table in {folder}: {foreign}")
        raise DataError(
            f"No tables ({', '.join(TABLE_EXTENSIONS)}) in {folder}. Pass a folder with tables, or "
            "a file."
        )
    return table_partitions(paths, manifest)


def table_partitions(paths: Sequence[Path], manifest: ModelManifest) -> list[InputPartition]:
    """Split the rows of tables into partitions; only large Parquet files have several.

    Raises:
      DataError: If a table lacks columns of the model.
    """
    settings = [choose_settings(path, manifest) for path in paths]
    columns = _select_columns(paths, settings, manifest)
    partitions: list[InputPartition] = []
    for path, settings_of_file in zip(paths, settings, strict=True):
        if not is_parquet(path):
            partitions.append(TablePartition(path, columns, settings=settings_of_file))
            continue
        sizes = row_group_sizes(path)
        for groups in _group_row_groups(sizes):
            num_rows = sum(sizes[group][0] for group in groups)
            partitions.append(TablePartition(path, columns, groups, num_rows, settings_of_file))
    return partitions


def choose_settings(path: Path, manifest: ModelManifest) -> TextSettings:
    """Choose the format of a file: that of the training data if it fits, otherwise detected.

    Raises:
      DataError: If the file is not a table that Diptych reads.
    """
    trained = TextSettings.from_keys(manifest.configuration.get("data", {}))
    if not path.stat().st_size or detect_table_format(path) != "csv":
        return trained
    columns = [column.name for column in manifest.inputs.columns]
    return adapt_settings(path, trained, columns)


def _select_columns(
    paths: Sequence[Path], settings: Sequence[TextSettings], manifest: ModelManifest
) -> SelectedColumns:
    vector, data = manifest.inputs.columns, manifest.configuration.get("data", {})
    schemas = [read_schema(path, each) for path, each in zip(paths, settings, strict=True)]
    for path, schema in zip(paths, schemas, strict=True):
        _check_table_schema(path, schema, vector)

    def column_of(key: str) -> str | None:
        """Return the column configured as ``data.KEY`` if every table has it."""
        name = data.get(key)
        if name is None or any(schema.names.count(name) != 1 for schema in schemas):
            return None
        if not all(values.can_be_text(schema.field(name).type) for schema in schemas):
            return None
        return str(name)

    return SelectedColumns(vector, column_of("label"), column_of("id"))


def _check_table_schema(path: Path, schema: pa.Schema, columns: Sequence[Column]) -> None:
    if not schema.names:
        raise DataError(f"{path} is empty (0 bytes). Check how it was written.")
    check_columns(path, schema.names, [column.name for column in columns])
    for column in columns:
        cell_type = schema.field(column.name).type
        if not _can_hold_vector(cell_type, column.width):
            expected = "numbers" if column.width == 1 else f"lists of {column.width} numbers"
            got = "text" if values.is_text(cell_type) else str(cell_type)
            raise DataError(
                f"{path}: the model needs {expected} in the column {column.name!r}, got {got}. "
                "Convert the column; lists need Parquet, Feather or JSON Lines."
            )


def _can_hold_vector(cell_type: pa.DataType, width: int) -> bool:
    """Return True if cells of this type may be numbers or lists of them; text may be numbers."""
    if values.is_list(cell_type):
        return values.is_number_list(cell_type)
    if pa.types.is_dictionary(cell_type):
        cell_type = cell_type.value_type
    return width == 1 and (
        values.is_number(cell_type)
        or values.is_text(cell_type)
        or bool(pa.types.is_boolean(cell_type))
    )


def _to_raw_batch(name: str, rows: TableRows, columns: SelectedColumns) -> RawBatch:
    reasons = no_rejections(rows)
    vectors = parse_vector_columns(rows, columns.vector, reasons)
    usable, sources, rejected = split_rejected(name, rows, reasons)

    def text_of(column: str | None) -> tuple[str, ...] | None:
        if column is None:
            return None
        text = values.as_text(rows.batch.column(column), rows.cells).filter(pa.array(usable))
        return tuple(text.fill_null("").to_pylist())

    return RawBatch(
        values=vectors[usable],
        sources=tuple(sources),
        labels=text_of(columns.label),
        rejected=tuple(rejected),
        ids=text_of(columns.id),
    )


def _select_row(batch: RawBatch, row: int) -> RawBatch:
    return RawBatch(
        values=batch.values[row : row + 1],
        sources=batch.sources[row : row + 1],
        labels=None if batch.labels is None else batch.labels[row : row + 1],
        rejected=(),
        ids=None if batch.ids is None else batch.ids[row : row + 1],
    )


def _slice_rows(rows: TableRows, batch_size: int) -> Iterator[TableRows]:
    """Slice rows into batches; the first one carries the broken rows."""
    for start in range(0, max(rows.batch.num_rows, 1), batch_size):
        yield TableRows(
            rows.batch.slice(start, batch_size),
            rows.row_numbers[start : start + batch_size],
            () if start else rows.malformed,
            rows.cells,
        )


def _group_row_groups(sizes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    groups: list[int] = []
    total_bytes = 0
    for group, (_, num_bytes) in enumerate(sizes):
        if groups and total_bytes + num_bytes > _PARTITION_BYTES:
            yield tuple(groups)
            groups, total_bytes = [], 0
        groups.append(group)
        total_bytes += num_bytes
    if groups:
        yield tuple(groups)
