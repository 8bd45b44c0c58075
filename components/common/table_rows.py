"""CSV and Parquet files as record batches of the columns asked for, with the numbers of their rows.

CSV cells stay bytes here: types guessed from the first block would differ between files, and
one bad cell would fail the whole of it.
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
class Rows:
    """Some rows of a file.

    Attributes:
      batch: the columns asked for, and only those.
      numbers: (n,) place in the file, as a spreadsheet counts: the header of a CSV is row 1 and
        blank lines are not counted. The first row of a Parquet file is 1.
      broken: number and reason of rows that are not in ``batch``, with too many or too few fields.
    """

    batch: pa.RecordBatch
    numbers: npt.NDArray[np.int64]
    broken: Sequence[tuple[int, str]]


def is_parquet(path: Path) -> bool:
    """By the ending: .parquet or .pq."""
    return path.suffix.lower() in (".parquet", ".pq")


def read_schema(path: Path) -> pa.Schema:
    """Columns of a file; all of them binary in a CSV. None at all in an empty file.

    Raises:
      DataError: the file is neither CSV nor Parquet.
    """
    if path.stat().st_size == 0:
        return pa.schema([])
    if is_parquet(path):
        with _opened_parquet(path) as file:
            return file.schema_arrow
    try:
        with (
            pa.input_stream(str(path)) as stream,
            io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text,
        ):
            lines = csv.reader(text, delimiter=_delimiter(path))
            names = next((names for names in lines if names), [])  # blank lines may stand above
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(
            f"The header of {path} cannot be read: {_one_line(error)}. "
            "Save the file as CSV in UTF-8."
        ) from error
    return pa.schema([(name, pa.binary()) for name in names])


def first_number(path: Path) -> int:
    """Number of the first row with data: the header of a CSV file is row 1."""
    return 1 if is_parquet(path) else 2


def read_rows(
    path: Path,
    columns: Sequence[str],
    row_groups: Sequence[int] | None = None,
    batch_size: int | None = None,
) -> Iterator[Rows]:
    """Reads columns of a file, in bounded memory.

    Args:
      path: a CSV file with a header, comma, semicolon, tab or | between fields; or Parquet.
      columns: the ones wanted.
      row_groups: of a Parquet file; None reads all.
      batch_size: rows at a time from Parquet; None: by the number of columns.

    Raises:
      DataError: a column is not there (once), or the file is damaged.
    """
    schema = read_schema(path)
    if not schema.names:
        return
    check_columns(path, schema.names, columns)
    if is_parquet(path):
        yield from _read_parquet(path, columns, row_groups, batch_size)
    else:
        yield from _read_csv(path, columns)


def check_columns(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Raises DataError where a wanted column is not in a file, or is there twice."""
    for column in wanted:
        count = names.count(column)
        if count != 1:
            what = "has no column" if count == 0 else f"has {count} columns named"
            raise DataError(
                f"{path} {what} {column!r}. It has: {listed(names)}. "
                "Every file needs the same columns."
            )


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names for an error message, the rest as a number."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def row_group_sizes(path: Path) -> list[tuple[int, int]]:
    """Rows and bytes of each row group of a Parquet file; the bytes as unpacked."""
    if path.stat().st_size == 0:
        return []
    with _opened_parquet(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        return [(group.num_rows, group.total_byte_size) for group in groups]


def _read_parquet(
    path: Path, columns: Sequence[str], row_groups: Sequence[int] | None, batch_size: int | None
) -> Iterator[Rows]:
    if batch_size is None:
        batch_size = max(256, min(8192, _VALUES_PER_BATCH // len(columns)))
    sizes = row_group_sizes(path)
    groups = range(len(sizes)) if row_groups is None else row_groups
    starts = np.cumsum([0, *(rows for rows, _ in sizes)])
    with _opened_parquet(path) as file:
        for group in groups:
            at = int(starts[group]) + first_number(path)
            batches = file.iter_batches(
                batch_size=batch_size, row_groups=[group], columns=list(columns)
            )
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowInvalid, OSError) as error:
                    raise DataError(
                        f"{path} is damaged: {_one_line(error)}. Write or copy it again."
                    ) from error
                if batch is None:
                    break
                yield Rows(batch.select(list(columns)), np.arange(at, at + batch.num_rows), ())
                at += batch.num_rows


def _read_csv(path: Path, columns: Sequence[str]) -> Iterator[Rows]:
    broken: list[Any] = []
    convert = pyarrow.csv.ConvertOptions(
        check_utf8=False,
        include_columns=list(columns),
        column_types={column: pa.binary() for column in columns},
        null_values=[""],
        strings_can_be_null=True,
    )
    # One thread: only then does a broken row have its number. Workers share out the files.
    read = pyarrow.csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK)
    at, skipped = first_number(path), 0
    with pa.input_stream(str(path)) as stream, _CsvErrors(path):
        reader = pyarrow.csv.open_csv(stream, read, _parse_options(path, broken), convert)
        for batch in reader:
            # Rows are parsed in order, so every broken row before this batch's last is known.
            numbers = np.empty(0, np.int64)
            gaps = np.array([row.number for row in broken[skipped:]], np.int64)
            candidates = np.arange(at, at + batch.num_rows + len(gaps))
            numbers = np.setdiff1d(candidates, gaps, assume_unique=True)[: batch.num_rows]
            last = int(numbers[-1]) if len(numbers) else at - 1
            passed = skipped + int(np.searchsorted(gaps, last, side="right"))
            yield Rows(
                batch.select(list(columns)),
                numbers,
                [_broken(row) for row in broken[skipped:passed]],
            )
            at, skipped = last + 1, passed
    if broken[skipped:]:
        empty = pa.record_batch([pa.array([], pa.binary()) for _ in columns], names=list(columns))
        yield Rows(empty, np.empty(0, np.int64), [_broken(row) for row in broken[skipped:]])


def _broken(row: Any) -> tuple[int, str]:
    return row.number, f"not {row.expected_columns} fields in the row"


def _parse_options(path: Path, broken: list[Any]) -> pyarrow.csv.ParseOptions:
    def skip(row: Any) -> str:
        broken.append(row)
        return "skip"

    return pyarrow.csv.ParseOptions(
        delimiter=_delimiter(path), newlines_in_values=True, invalid_row_handler=skip
    )


def _delimiter(path: Path) -> str:
    with pa.input_stream(str(path)) as stream:
        header = bytes(stream.read(1 << 16)).splitlines()[0]
    return max(",;\t|", key=lambda character: header.count(character.encode()))


def _opened_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {_one_line(error)}. Write or copy it again."
        ) from error


class _CsvErrors:
    """Turns what pyarrow says of a whole file into a DataError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, pa.ArrowInvalid | OSError):
            raise DataError(
                f"{self.path} cannot be read as CSV: {_one_line(error)}. Check quotes and encoding."
            ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
