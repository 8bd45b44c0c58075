"""Read CSV files in blocks. Cells stay bytes.

Types inferred from the first block could differ between files, and one invalid cell would make the
complete file fail.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
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


def read_csv_names(path: Path, settings: TextSettings) -> list[str]:
    """Read the names of the columns; without a header they are c1, c2 and so on.

    Raises:
      DataError: If the header is not text in the encoding of the file.
    """
    text_format = detect_text_format(path, settings)
    first = next(iter(read_first_records(path, text_format, max_rows=1)), [])
    if "\ufffd" in "".join(first) and text_format.header:
        raise DataError(
            f"The header of {path} cannot be read: it is not {text_format.encoding}. Set "
            "data.encoding to the encoding of the file, such as cp1252, or save it as UTF-8."
        )
    return first if text_format.header else [f"c{number + 1}" for number in range(len(first))]


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
    with pa.input_stream(str(path)) as stream, _translate_errors(path, text_format):
        parse = _build_parse_options(text_format, malformed)
        for batch in pyarrow.csv.open_csv(stream, read, parse, convert):
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
                text_format.cells,
            )
            number, num_reported = last + 1, num_passed
    if malformed[num_reported:]:
        empty = pa.record_batch([pa.array([], pa.binary()) for _ in columns], names=list(columns))
        yield TableRows(
            empty,
            np.empty(0, np.int64),
            [_describe_malformed(row) for row in malformed[num_reported:]],
            text_format.cells,
        )


def _describe_malformed(row: Any) -> tuple[int, str]:
    return row.number, f"row does not have {row.expected_columns} fields"


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
