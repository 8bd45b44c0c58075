"""Read CSV files in blocks. Cells stay bytes.

Types inferred from the first block could differ between files, and one invalid cell would make the
complete file fail.
"""

import collections
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from diptych.components.common.tables.table_batch import TableRows, to_single_line
from diptych.components.common.tables.text_format import (
    TextFormat,
    TextSettings,
    detect_text_format,
    read_first_records,
)
from diptych.schemas.errors import DataError

_BLOCK_BYTES = 4 << 20  # a row must fit in it
_OPEN_QUOTE = "quote that is opened in a cell is not closed there"
_IN_OPEN_QUOTE = "row is inside a quote that an earlier row opens and does not close"


def read_csv_names(path: Path, settings: TextSettings) -> list[str]:
    """Read the names of the columns; without a header they are c1, c2 and so on.

    Raises:
      DataError: If the header is not text in the encoding of the file, or most rows have another
        number of fields.
    """
    text_format = detect_text_format(path, settings)
    first, *rows = read_first_records(path, text_format) or [[]]
    if "\ufffd" in "".join(first) and text_format.header:
        raise DataError(
            f"The header of {path} cannot be read: it is not {text_format.encoding}. Set "
            "data.encoding to the encoding of the file, such as cp1252, or save it as UTF-8."
        )
    _check_field_counts(path, first, rows, text_format.delimiter)
    return first if text_format.header else [f"c{number + 1}" for number in range(len(first))]


def _check_field_counts(
    path: Path, first: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str
) -> None:
    """Check that half of the first rows have the number of fields of row 1.

    Raises:
      DataError: If fewer have, so that nearly all rows would be rejected.
    """
    counts = collections.Counter(map(len, rows))
    if 2 * counts[len(first)] >= len(rows) - 1:  # the last row may be cut off
        return
    [(usual, _)] = counts.most_common(1)
    number, example = next((n, row) for n, row in enumerate(rows, 2) if len(row) == usual)
    found, other = (repr(delimiter.join(row)[:60]) for row in (first, example))
    raise DataError(
        f"{path}: the number of fields is {len(first)} in row 1 ({found}), but {usual} in most "
        f"rows, such as row {number} ({other}). Remove lines above the table, correct row 1, or "
        "set data.delimiter."
    )


def read_csv_rows(
    path: Path, names: Sequence[str], columns: Sequence[str], settings: TextSettings
) -> Iterator[TableRows]:
    """Read columns of a CSV file.

    Args:
      path: The file.
      names: Names of all columns, from ``read_csv_names``.
      columns: Columns to read.
      settings: Settings of the user.

    Raises:
      DataError: If the file is damaged, or not text in its encoding.
    """
    text_format = detect_text_format(path, settings)
    malformed: list[Any] = []

    def describe(rows: Sequence[Any]) -> list[tuple[int, str]]:
        return [item for row in rows for item in _describe_malformed(row, text_format.delimiter)]

    convert = pyarrow.csv.ConvertOptions(
        check_utf8=False,
        include_columns=list(columns),
        column_types={column: pa.binary() for column in columns},
        null_values=[""],
        strings_can_be_null=True,
    )
    # With several threads, malformed rows have no number. The files are spread over the workers.
    read = pyarrow.csv.ReadOptions(
        use_threads=False,
        block_size=_BLOCK_BYTES,
        encoding="utf8" if text_format.encoding == "utf-8" else text_format.encoding,
        column_names=None if text_format.header else list(names),
    )
    number, num_reported = 2 if text_format.header else 1, 0
    parse = _build_parse_options(text_format, malformed)
    with (
        pa.input_stream(str(path)) as stream,
        _translate_errors(path, text_format),
        # Closed at once: its thread may abort a process that ends while it reads.
        pyarrow.csv.open_csv(stream, read, parse, convert) as blocks,
    ):
        for block in blocks:
            batch = block.select(list(columns))
            # Rows are parsed in order: all malformed rows before the last of this batch are known.
            gaps = np.array([row.number for row in malformed[num_reported:]], np.int64)
            candidates = np.arange(number, number + batch.num_rows + len(gaps))
            row_numbers = np.setdiff1d(candidates, gaps, assume_unique=True)[: batch.num_rows]
            last = int(row_numbers[-1]) if len(row_numbers) else number - 1
            num_passed = num_reported + int(np.searchsorted(gaps, last, side="right"))
            problems = describe(malformed[num_reported:num_passed])
            swallowing = _find_swallowed_rows(batch, names, text_format.delimiter)
            for row, num_swallowed in swallowing.items():
                source = int(row_numbers[row])
                problems += [(source, _OPEN_QUOTE), *[(source, _IN_OPEN_QUOTE)] * num_swallowed]
            kept = np.setdiff1d(np.arange(batch.num_rows), list(swallowing))
            kept_rows = batch.take(pa.array(kept)) if swallowing else batch
            yield TableRows(kept_rows, row_numbers[kept], problems, text_format.cells)
            number, num_reported = last + 1, num_passed
    if malformed[num_reported:]:
        empty = pa.record_batch([pa.array([], pa.binary()) for _ in columns], names=list(columns))
        yield TableRows(
            empty,
            np.empty(0, np.int64),
            describe(malformed[num_reported:]),
            text_format.cells,
        )


def _describe_malformed(row: Any, delimiter: str) -> list[tuple[int, str]]:
    """Describe a malformed row, and the rows that are lost in it because of an open quote."""
    _, *lines = row.text.rstrip("\r\n").split("\n")
    num_swallowed = sum(line.count(delimiter) + 1 == row.expected_columns for line in lines)
    problem = f"row does not have {row.expected_columns} fields"
    return [(row.number, problem), *[(row.number, _IN_OPEN_QUOTE)] * num_swallowed]


def _find_swallowed_rows(
    batch: pa.RecordBatch, names: Sequence[str], delimiter: str
) -> dict[int, int]:
    """Return the rows with a cell that holds further rows, and how many.

    If a stray quote in front of a cell is closed by another one in front of a cell of the same
    column, all that is between them is one cell: the rest of a row, rows, and the start of a row.
    """
    swallowing: dict[int, int] = {}
    for name, cells in zip(batch.schema.names, batch.columns, strict=True):
        at, width = names.index(name), len(names)
        # Most columns have only short cells, which is known at once.
        if (pc.max(pc.binary_length(cells)).as_py() or 0) < 2 * width:
            continue
        is_multiline = pc.match_substring(cells, b"\n").fill_null(False)
        for row in np.flatnonzero(is_multiline.to_numpy(zero_copy_only=False)).tolist():
            lines = cells[row].as_py().split(b"\n")
            sizes = [line.count(delimiter.encode()) + 1 for line in lines]
            if len(sizes) > 2 and sizes == [width - at, *[width] * (len(sizes) - 2), at + 1]:
                swallowing[row] = len(sizes) - 1
    return swallowing


def _build_parse_options(text_format: TextFormat, malformed: list[Any]) -> pyarrow.csv.ParseOptions:
    def skip(row: Any) -> str:
        malformed.append(row)
        return "skip"

    return pyarrow.csv.ParseOptions(
        delimiter=text_format.delimiter,
        escape_char="\\" if text_format.has_escapes else False,
        newlines_in_values=True,
        invalid_row_handler=skip,
    )


@contextlib.contextmanager
def _translate_errors(path: Path, text_format: TextFormat) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not {text_format.encoding}: {error.reason} at byte {error.start} of a "
            "block. Correct data.encoding."
        ) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path} cannot be read as CSV: {to_single_line(error)}. Check quotes, data.delimiter "
            "and data.encoding."
        ) from error
