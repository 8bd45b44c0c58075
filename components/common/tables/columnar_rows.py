"""Read Parquet files, and Arrow IPC (Feather) files and streams, in batches."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.common.cell_values import CellFormat
from diptych.components.common.tables.file_formats import ARROW_STREAM_START
from diptych.components.common.tables.table_batch import TableRows, to_single_line
from diptych.schemas.errors import DataError

_VALUES_PER_BATCH = 1 << 20
_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)  # of a damaged file


def read_parquet_schema(path: Path) -> pa.Schema:
    """Read the schema of a Parquet file.

    Raises:
      DataError: If the file is damaged.
    """
    with _open_parquet(path) as file:
        return file.schema_arrow


def read_arrow_schema(path: Path) -> pa.Schema:
    """Read the schema of an Arrow IPC file or stream.

    Raises:
      DataError: If the file is damaged.
    """
    return _open_arrow(path).schema


def row_group_sizes(path: Path) -> list[tuple[int, int]]:
    """Return the number of rows and the uncompressed bytes of each row group of a Parquet file."""
    if path.stat().st_size == 0:
        return []
    with _open_parquet(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        return [(group.num_rows, group.total_byte_size) for group in groups]


def read_parquet_rows(
    path: Path,
    columns: Sequence[str],
    row_groups: Sequence[int] | None,
    batch_size: int | None,
    cells: CellFormat,
) -> Iterator[TableRows]:
    """Read columns of a Parquet file; ``row_groups`` None reads all.

    Raises:
      DataError: If the file is damaged.
    """
    batch_size = batch_size or _choose_batch_size(columns)
    sizes = row_group_sizes(path)
    groups = range(len(sizes)) if row_groups is None else row_groups
    first_rows = np.cumsum([0, *(rows for rows, _ in sizes)])
    with _open_parquet(path) as file:
        for group in groups:
            number = int(first_rows[group]) + 1
            batches = file.iter_batches(
                batch_size=batch_size, row_groups=[group], columns=list(columns)
            )
            while True:
                try:
                    batch = next(batches, None)
                    if batch is None:
                        break
                    batch = _checked(batch.select(list(columns)))
                except _ERRORS as error:
                    raise _damaged_error(path, error) from error
                yield TableRows(
                    batch,
                    np.arange(number, number + batch.num_rows),
                    (),
                    cells,
                )
                number += batch.num_rows


def read_arrow_rows(
    path: Path, columns: Sequence[str], batch_size: int | None, cells: CellFormat
) -> Iterator[TableRows]:
    """Read columns of an Arrow IPC file or stream.

    Raises:
      DataError: If the file is damaged.
    """
    batch_size = batch_size or _choose_batch_size(columns)
    schema = read_arrow_schema(path)
    fields = sorted({schema.get_field_index(column) for column in columns})
    batches = _iterate_batches(_open_arrow(path, pa.ipc.IpcReadOptions(included_fields=fields)))
    number = 1
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                break
            batch = _checked(batch.select(list(columns)))
        except _ERRORS as error:
            raise _damaged_error(path, error) from error
        for start in range(0, batch.num_rows, batch_size):
            part = batch.slice(start, batch_size)
            yield TableRows(part, np.arange(number, number + part.num_rows), (), cells)
            number += part.num_rows


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Check offsets and text, which Arrow does not; text that is not UTF-8 becomes binary cells.

    As in a CSV file, only the rows with such text are then rejected.

    Raises:
      pa.ArrowInvalid: If the batch is damaged.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        is_text = (pa.types.is_string, pa.types.is_large_string)
        columns = [
            column.cast(pa.binary()) if any(matches(column.type) for matches in is_text) else column
            for column in batch.columns
        ]
        batch = pa.record_batch(columns, names=batch.schema.names)
        batch.validate(full=True)
    return batch


def _choose_batch_size(columns: Sequence[str]) -> int:
    return max(256, min(8192, _VALUES_PER_BATCH // max(1, len(columns))))


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
        file.schema_arrow.names  # noqa: B018  decodes them
        return file
    except _ERRORS as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {to_single_line(error)}. Write or copy it again."
        ) from error


def _open_arrow(
    path: Path, options: pa.ipc.IpcReadOptions | None = None
) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    try:
        # Not memory-mapped: if another program truncated the file, the next access would end this
        # process with SIGBUS.
        file = pa.OSFile(os.fsencode(path))
        is_stream = file.read(len(ARROW_STREAM_START)) == ARROW_STREAM_START
        file.seek(0)
        reader = (pa.ipc.open_stream if is_stream else pa.ipc.open_file)(file, options=options)
        reader.schema.names  # noqa: B018  decodes them
        return reader
    except _ERRORS as error:
        raise DataError(
            f"{path} cannot be read as Arrow IPC: {to_single_line(error)}. Write or copy it again."
        ) from error


def _iterate_batches(
    reader: pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader,
) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchStreamReader):
        yield from reader
    else:
        yield from (reader.get_batch(index) for index in range(reader.num_record_batches))


def _damaged_error(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is damaged: {to_single_line(error)}. Write or copy it again.")
