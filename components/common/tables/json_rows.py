"""Read JSON Lines files in blocks of lines.

Each block is parsed by Arrow. A block that it refuses, such as one with numbers and text in one
column, or that it would misread, is parsed line by line, so that a bad line does not hide others.
"""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from diptych.components.common.cell_values import CellFormat, is_list
from diptych.components.common.tables.table_batch import TableRows
from diptych.components.common.tables.text_format import detect_unicode
from diptych.schemas.errors import DataError

_BLOCK_BYTES = 4 << 20
_MAX_LINE_BYTES = 256 << 20
_MAX_DEPTH = 100  # Arrow crashes at some 10,000 levels, and Python stops at 1,000
_MAX_EXACT = 2**53  # from here on, a float may stand for several integers
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_OBJECT = "line is not a JSON object"
_TOO_DEEP = f"line has more than {_MAX_DEPTH} nested levels"
_EXPECTED = 'Write one object per line, such as {"label": "a", "x": 1.5}.'


def read_json_schema(path: Path) -> pa.Schema:
    """Read the columns of the first block of lines, with their types.

    Raises:
      DataError: If no line is a JSON object, or the file cannot be read.
    """
    for lines, first_line in _read_line_blocks(path):
        encoding = detect_unicode(lines[0])
        if encoding != "utf-8":
            raise DataError(f"{path} is {encoding}, but JSON Lines are UTF-8. Save it as UTF-8.")
        if lines[0].removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"["):
            raise DataError(f"{path} is not JSON Lines: it starts with a list. {_EXPECTED}")
        batch, _, malformed = _parse_block(lines)
        if batch.num_rows:
            return batch.schema
        if malformed:
            index, reason = malformed[0]
            problem = reason.replace("line", f"line {index + first_line}", 1)
            raise DataError(f"{path} is not JSON Lines: {problem}. {_EXPECTED}")
    return pa.schema([])


def read_json_rows(
    path: Path, columns: Sequence[str], batch_size: int | None, cells: CellFormat
) -> Iterator[TableRows]:
    """Read columns of a JSON Lines file; a key that a line lacks is a missing value.

    Rows are numbered like the lines, from 1.

    Raises:
      DataError: If the file cannot be read.
    """
    for lines, first_line in _read_line_blocks(path):
        batch, numbers, malformed = _parse_block(lines)
        selected = pa.record_batch(
            [
                batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows)
                for name in columns
            ],
            names=list(columns),
        )
        size = batch_size or max(1, batch.num_rows)
        problems = [(line + first_line, reason) for line, reason in malformed]
        for start in range(0, max(1, batch.num_rows), size):
            yield TableRows(
                selected.slice(start, size),
                numbers[start : start + size] + first_line,
                problems,
                cells,
            )
            problems = []


def _read_line_blocks(path: Path) -> Iterator[tuple[list[bytes], int]]:
    """Yield blocks of complete lines, and the number of their first line."""
    number, rest = 1, b""
    try:
        with pa.input_stream(str(path)) as stream:
            while block := bytes(stream.read(_BLOCK_BYTES)):
                complete, newline, tail = (rest + block).rpartition(b"\n")
                if not newline:
                    rest = tail
                    if len(rest) > _MAX_LINE_BYTES:
                        raise DataError(
                            f"Line {number} of {path} has more than {_MAX_LINE_BYTES >> 20} MB. "
                            "Write one object per line."
                        )
                    continue
                lines, rest = complete.split(b"\n"), tail
                yield lines, number
                number += len(lines)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}.") from error
    if rest:
        yield [rest], number


def _parse_block(
    lines: list[bytes],
) -> tuple[pa.RecordBatch, np.ndarray, list[tuple[int, str]]]:
    """Parse lines; return the rows, the (n,) index of their lines, and the malformed lines."""
    indices = np.array([i for i, line in enumerate(lines) if line and not line.isspace()], np.int64)
    if not len(indices):
        return pa.record_batch({}), indices, []
    table = _parse_with_arrow([lines[i] for i in indices])
    if table is None or len(table) != len(indices):
        return _parse_lines(lines, indices)
    batches = table.combine_chunks().to_batches()
    return batches[0], indices, []


def _parse_with_arrow(lines: Sequence[bytes]) -> pa.Table | None:
    """Parse lines, none of them blank; None if Arrow refuses them or would misread one."""
    text = b"\n".join(lines).removeprefix(_BYTE_ORDER_MARK)
    # Arrow does not check the encoding, and crashes if the first line is null.
    if not _is_utf8(text) or not all(map(_is_flat_object, lines)):
        return None
    options = pyarrow.json.ReadOptions(use_threads=False, block_size=len(text) + 1)
    try:
        table = pyarrow.json.read_json(io.BytesIO(text), options)
        # Arrow reads text such as 2026-01-02 as a time; other formats keep it.
        as_text = [
            pa.field(field.name, pa.string()) for field in table.schema if _holds_time(field.type)
        ]
        if as_text:
            parse = pyarrow.json.ParseOptions(explicit_schema=pa.schema(as_text))
            names = table.schema.names
            table = pyarrow.json.read_json(io.BytesIO(text), options, parse).select(names)
    except pa.ArrowInvalid:
        return None
    return None if any(map(_holds_rounded_integers, table.columns)) else table


def _is_flat_object(line: bytes) -> bool:
    """Return whether a line starts as an object, and cannot be nested too deeply."""
    is_object = line.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"{")
    return is_object and line.count(b"[") + line.count(b"{") <= _MAX_DEPTH


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _holds_rounded_integers(column: pa.ChunkedArray) -> bool:
    """Return whether a column may hold integers that Arrow has rounded to floats.

    It reads integers of more than 64 bits, or in a column with a fraction, as floats.
    """
    if not pa.types.is_floating(column.type):
        return False
    return bool(pc.any(pc.greater_equal(pc.abs(column), float(_MAX_EXACT))).as_py())


def _holds_time(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(data_type))


def _parse_lines(
    lines: list[bytes], indices: np.ndarray
) -> tuple[pa.RecordBatch, np.ndarray, list[tuple[int, str]]]:
    rows: list[dict[str, Any]] = []
    kept: list[int] = []
    malformed: list[tuple[int, str]] = []
    for index in indices.tolist():
        row = _parse_line(lines[index].removeprefix(_BYTE_ORDER_MARK))
        if isinstance(row, dict):
            rows.append(row)
            kept.append(index)
        else:
            malformed.append((index, row))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _to_column([row.get(name) for row in rows]) for name in names}
    return pa.record_batch(columns), np.array(kept, np.int64), malformed


def _parse_line(line: bytes) -> dict[str, Any] | str:
    """Parse a line, or return why it is malformed."""
    try:
        row = json.loads(line.decode())
        if not isinstance(row, dict):
            return _NO_OBJECT
        if b"\\u" in line:  # half of a surrogate pair, which JSON can express, is not text
            json.dumps(row, ensure_ascii=False).encode()
    except UnicodeError:
        return "line is not text in UTF-8"
    except RecursionError:
        return _TOO_DEEP
    except ValueError:
        return _NO_OBJECT
    return _TOO_DEEP if _measure_depth(row) > _MAX_DEPTH else row


def _measure_depth(value: Any) -> int:
    """Count the levels of nested lists and objects."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, list | dict)]:
        depth += 1
        level = [part for one in level for part in (one.values() if isinstance(one, dict) else one)]
    return depth


def _to_column(cells: list[Any]) -> pa.Array:
    """Build a column; cells of different types become text, like the cells of a CSV file.

    Among lists, a single value becomes a list of one value.
    """
    if any(isinstance(cell, list) for cell in cells):
        cells = [cell if cell is None or isinstance(cell, list) else [cell] for cell in cells]
    try:
        column = pa.array(cells)
        if not pa.types.is_nested(column.type) or is_list(column.type):
            return column
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    return pa.array([_to_text(cell) for cell in cells], pa.string())


def _to_text(cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(cell, ensure_ascii=False)
