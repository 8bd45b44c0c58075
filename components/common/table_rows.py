"""Read columns of table files as record batches, with the row numbers.

One module per format is in ``common.tables``: CSV, Parquet, Arrow IPC (Feather) and JSON Lines.
Folders named ``key=value`` above a file are columns too, as Hive and Spark write them.
"""

import dataclasses
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from diptych.components.common.cell_values import CellFormat
from diptych.components.common.tables.columnar_rows import (
    read_arrow_rows,
    read_arrow_schema,
    read_parquet_rows,
    read_parquet_schema,
    row_group_sizes,
)
from diptych.components.common.tables.csv_rows import read_csv_names, read_csv_rows
from diptych.components.common.tables.file_formats import detect_table_format
from diptych.components.common.tables.json_rows import read_json_rows, read_json_schema
from diptych.components.common.tables.table_batch import TableRows
from diptych.components.common.tables.text_format import TextSettings
from diptych.schemas.errors import DataError

__all__ = [
    "TableRows",
    "TextSettings",
    "check_columns",
    "first_row_number",
    "format_names",
    "is_parquet",
    "is_partition_key",
    "read_schema",
    "read_table_rows",
    "row_group_sizes",
]

_DEFAULT_SETTINGS = TextSettings()
_PARTITION_KEY = {b"partition": b"key"}  # metadata of the columns that folders give
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def is_parquet(path: Path) -> bool:
    """Return whether a file has the content of a Parquet file, whatever its name."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def read_schema(path: Path, settings: TextSettings = _DEFAULT_SETTINGS) -> pa.Schema:
    """Read the schema of a file; empty for an empty file. All columns of a CSV are binary.

    Raises:
      DataError: If the file is not a table that Diptych reads, or its header is damaged.
    """
    if path.stat().st_size == 0:
        return pa.schema([])
    schema = _read_file_schema(path, settings)
    if schema.names:
        for name in _partition_values(path, schema.names):
            schema = schema.append(pa.field(name, pa.string(), metadata=_PARTITION_KEY))
    return schema


def is_partition_key(field: pa.Field) -> bool:
    """Return whether a column comes from the names of folders."""
    return bool(field.metadata == _PARTITION_KEY)


def first_row_number(path: Path, settings: TextSettings = _DEFAULT_SETTINGS) -> int:
    """Return the number of the first data row: the header of a CSV file is row 1."""
    return 2 if settings.header and detect_table_format(path) == "csv" else 1


def read_table_rows(
    path: Path,
    columns: Sequence[str],
    row_groups: Sequence[int] | None = None,
    batch_size: int | None = None,
    settings: TextSettings = _DEFAULT_SETTINGS,
) -> Iterator[TableRows]:
    """Read columns of a file in bounded memory.

    Args:
      path: A CSV, Parquet, Arrow IPC or JSON Lines file.
      columns: Columns to read.
      row_groups: Row groups of a Parquet file; None reads all.
      batch_size: Rows per batch, except from CSV; None derives it from the number of columns.
      settings: Format of CSV files, and missing values.

    Raises:
      DataError: If a column is missing or not unique, or the file is damaged.
    """
    schema = read_schema(path, settings)
    if not schema.names:
        return
    check_columns(path, schema.names, columns)
    names = [field.name for field in schema if not is_partition_key(field)]
    folders = _partition_values(path, names)
    own = [name for name in columns if name not in folders]
    # A batch without columns would not have rows.
    read = own or names[:1]
    file_format = detect_table_format(path)
    cells = CellFormat(settings.decimal or ".", settings.missing)
    if file_format == "parquet":
        batches = read_parquet_rows(path, read, row_groups, batch_size, cells)
    elif file_format == "arrow":
        batches = read_arrow_rows(path, read, batch_size, cells)
    elif file_format == "json":
        batches = read_json_rows(path, read, batch_size, cells)
    else:
        batches = read_csv_rows(path, names, read, settings)
    for rows in batches:
        yield _add_partition_columns(rows, columns, folders) if folders else rows


def check_columns(path: Path, names: Sequence[str], required: Sequence[str]) -> None:
    """Check that a file has each required column exactly once.

    Raises:
      DataError: If a column is missing or not unique.
    """
    for column in required:
        count = names.count(column)
        if count != 1:
            problem = "has no column" if count == 0 else f"has {count} columns named"
            raise DataError(
                f"{path} {problem} {column!r}. It has: {format_names(names)}. "
                "Every file needs the same columns."
            )


def format_names(names: Sequence[str], max_shown: int = 12) -> str:
    """Format names for an error message, the last ones as a count."""
    shown = ", ".join(repr(name) for name in names[:max_shown])
    return shown if len(names) <= max_shown else f"{shown} and {len(names) - max_shown} more"


def _read_file_schema(path: Path, settings: TextSettings) -> pa.Schema:
    file_format = detect_table_format(path)
    if file_format == "parquet":
        return read_parquet_schema(path)
    if file_format == "arrow":
        return read_arrow_schema(path)
    if file_format == "json":
        return read_json_schema(path)
    return pa.schema([(name, pa.binary()) for name in read_csv_names(path, settings)])


def _partition_values(path: Path, names: Sequence[str]) -> dict[str, str | None]:
    """Return the values of the folders named ``key=value`` directly above a file.

    A column of the file with the same name has priority.
    """
    values: dict[str, str | None] = {}
    for folder in path.parents:
        key, separator, value = folder.name.partition("=")
        if not separator or not key:
            break
        text = urllib.parse.unquote(value)
        values[urllib.parse.unquote(key)] = None if text == _NULL_PARTITION else text
    return {key: value for key, value in reversed(values.items()) if key not in names}


def _add_partition_columns(
    rows: TableRows, columns: Sequence[str], folders: dict[str, str | None]
) -> TableRows:
    fields, arrays = [], []
    for name in columns:
        if name in folders:
            fields.append(pa.field(name, pa.string(), metadata=_PARTITION_KEY))
            arrays.append(pa.array([folders[name]] * rows.batch.num_rows, pa.string()))
        else:
            fields.append(rows.batch.schema.field(name))
            arrays.append(rows.batch.column(name))
    batch = pa.record_batch(arrays, schema=pa.schema(fields))
    return dataclasses.replace(rows, batch=batch)
