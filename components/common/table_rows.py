"""Read columns of CSV and Parquet files as record batches, with the row numbers.

CSV cells stay bytes: types inferred from the first block could differ between files, and one
invalid cell would make the complete file fail.
"""

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from diptych.schemas.errors import DataError

_CSV_BLOCK = 4 << 20  # a row must fit in it
_VALUES_PER_BATCH = 1 << 20


@dataclasses.dataclass(frozen=True)
class TableRows:
    """Rows of a file.

    Attributes:
      batch: The requested columns.
      row_numbers: (n,) Row numbers as in a spreadsheet: the header of a CSV is row 1, blank lines
        are not counted. The first row of a Parquet file is 1.
      malformed: Number and reason of rows with too many or too few fields, not in ``batch``.
    """

    batch: pa.RecordBatch
    row_numbers: npt.NDArray[np.int64]
    malformed: Sequence[tuple[int, str]]


def is_parquet(path: Path) -> bool:
    """Return whether a file has the extension .parquet or .pq."""
    return path.suffix.lower() in (".parquet", ".pq")


def read_schema(path: Path) -> pa.Schema:
    """Read the schema of a file; empty for an empty file. All columns of a CSV are binary.

    Raises:
      DataError: If the file is neither CSV nor Parquet.
    """
    if path.stat().st_size == 0:
        return pa.schema([])
    if is_parquet(path):
        with _open_parquet(path) as file:
            return file.schema_arrow
    try:
        with (
            pa.input_stream(str(path)) as stream,
            io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text,
        ):
            lines = csv.reader(text, delimiter=_detect_delimiter(path))
            names = next((names for names in lines if names), [])  # skips blank lines
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(
            f"The header of {path} cannot be read: {_to_single_line(error)}. "
            "Save the file as CSV in UTF-8."
        ) from error
    return pa.schema([(name, pa.binary()) for name in names])


def first_row_number(path: Path) -> int:
    """Return the number of the first data row: the header of a CSV file is row 1."""
    return 1 if is_parquet(path) else 2


def read_table_rows(
    path: Path,
    columns: Sequence[str],
    row_groups: Sequence[int] | None = None,
    batch_size: int | None = None,
) -> Iterator[TableRows]:
    """Read columns of a file in bounded memory.

    Args:
      path: A Parquet file, or a CSV file with a header, delimited by comma, semicolon, tab or |.
      columns: Columns to read.
      row_groups: Row groups of a Parquet file; None reads all.
      batch_size: Rows per batch from Parquet; None derives it from the number of columns.

    Raises:
      DataError: If a column is missing or not unique, or the file is damaged.
    """
    schema = read_schema(path)
    if not schema.names:
        return
    check_columns(path, schema.names, columns)
    if is_parquet(path):
        yield from _read_parquet(path, columns, row_groups, batch_size)
    else:
        yield from _read_csv(path, columns)


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


def row_group_sizes(path: Path) -> list[tuple[int, int]]:
    """Return the number of rows and the uncompressed bytes of each row group."""
    if path.stat().st_size == 0:
        return []
    with _open_parquet(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        return [(group.num_rows, group.total_byte_size) for group in groups]


def _read_parquet(
    path: Path, columns: Sequence[str], row_groups: Sequence[int] | None, batch_size: int | None
) -> Iterator[TableRows]:
    if batch_size is None:
        batch_size = max(256, min(8192, _VALUES_PER_BATCH // len(columns)))
    sizes = row_group_sizes(path)
    groups = range(len(sizes)) if row_groups is None else row_groups
    first_rows = np.cumsum([0, *(rows for rows, _ in sizes)])
    with _open_parquet(path) as file:
        for group in groups:
            number = int(first_rows[group]) + first_row_number(path)
            batches = file.iter_batches(
                batch_size=batch_size, row_groups=[group], columns=list(columns)
            )
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowInvalid, OSError) as error:
                    raise DataError(
                        f"{path} is damaged: {_to_single_line(error)}. Write or copy it again."
                    ) from error
                if batch is None:
                    break
                yield TableRows(
                    batch.select(list(columns)), np.arange(number, number + batch.num_rows), ()
                )
                number += batch.num_rows


def _read_csv(path: Path, columns: Sequence[str]) -> Iterator[TableRows]:
    malformed: list[Any] = []
    convert = pyarrow.csv.ConvertOptions(
        check_utf8=False,
        include_columns=list(columns),
        column_types={column: pa.binary() for column in columns},
        null_values=[""],
        strings_can_be_null=True,
    )
    # With several threads, malformed rows have no number. The files are spread over the workers.
    read = pyarrow.csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK)
    number, num_reported = first_row_number(path), 0
    with pa.input_stream(str(path)) as stream, _CsvErrors(path):
        reader = pyarrow.csv.open_csv(stream, read, _build_parse_options(path, malformed), convert)
        for batch in reader:
            # Rows are parsed in order: all malformed rows before the last of this batch are known.
            gaps = np.array([row.number for row in malformed[num_reported:]], np.int64)
            candidates = np.arange(number, number + batch.num_rows + len(gaps))
            row_numbers = np.setdiff1d(candidates, gaps, assume_unique=True)[: batch.num_rows]
            last = int(row_numbers[-1]) if len(row_numbers) else number - 1
            num_passed = num_reported + int(np.searchsorted(gaps, last, side="right"))
            yield TableRows(
                batch.select(list(columns)),
                row_numbers,
                [_describe_malformed(row) for row in malformed[num_reported:num_passed]],
            )
            number, num_reported = last + 1, num_passed
    if malformed[num_reported:]:
        empty = pa.record_batch([pa.array([], pa.binary()) for _ in columns], names=list(columns))
        yield TableRows(
            empty,
            np.empty(0, np.int64),
            [_describe_malformed(row) for row in malformed[num_reported:]],
        )


def _describe_malformed(row: Any) -> tuple[int, str]:
    return row.number, f"row does not have {row.expected_columns} fields"


def _build_parse_options(path: Path, malformed: list[Any]) -> pyarrow.csv.ParseOptions:
    def skip(row: Any) -> str:
        malformed.append(row)
        return "skip"

    return pyarrow.csv.ParseOptions(
        delimiter=_detect_delimiter(path), newlines_in_values=True, invalid_row_handler=skip
    )


def _detect_delimiter(path: Path) -> str:
    with pa.input_stream(str(path)) as stream:
        header = bytes(stream.read(1 << 16)).splitlines()[0]
    return max(",;\t|", key=lambda character: header.count(character.encode()))


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {_to_single_line(error)}. Write or copy it again."
        ) from error


class _CsvErrors:
    """Convert the errors of pyarrow to a DataError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, pa.ArrowInvalid | OSError):
            raise DataError(
                f"{self.path} cannot be read as CSV: {_to_single_line(error)}. "
                "Check quotes and encoding."
            ) from error


def _to_single_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
