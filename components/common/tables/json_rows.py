"""Read JSON Lines files in blocks of lines.

Each block is parsed by Arrow. A block that it refuses, such as one with numbers and text in one
column, is parsed line by line, so that a bad line does not hide the others.
"""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json

from diptych.components.common.cell_values import CellFormat, is_list
from diptych.components.common.tables.table_batch import TableRows
from diptych.schemas.errors import DataError

_BLOCK_BYTES = 4 << 20
_MAX_LINE_BYTES = 256 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_EXPECTED = 'Write one object per line, such as {"label": "a", "x": 1.5}.'


def read_json_schema(path: Path) -> pa.Schema:
    """Read the columns of the first block of lines, with their types.

    Raises:
      DataError: If no line is a JSON object, or the file cannot be read.
    """
    for lines, _ in _read_line_blocks(path):
        if lines[0].removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"["):
            raise DataError(f"{path} is not JSON Lines: it starts with a list. {_EXPECTED}")
        batch, _, malformed = _parse_block(lines)
        if batch.num_rows:
            return batch.schema
        if malformed:
            raise DataError(
                f"{path} is not JSON Lines: line {malformed[0][0] + 1} is not a JSON object. "
                f"{_EXPECTED}"
            )
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
    text = b"\n".join(lines[i] for i in indices).removeprefix(_BYTE_ORDER_MARK)
    if not len(indices):
        return pa.record_batch({}), indices, []
    try:
        table = _parse_with_arrow(text)
    except pa.ArrowInvalid:
        table = None
    if table is None or len(table) != len(indices):
        return _parse_lines(lines, indices)
    batches = table.combine_chunks().to_batches()
    return batches[0], indices, []


def _parse_with_arrow(text: bytes) -> pa.Table:
    options = pyarrow.json.ReadOptions(use_threads=False, block_size=len(text) + 1)
    table = pyarrow.json.read_json(io.BytesIO(text), options)
    # Arrow reads text such as 2026-01-02 as a time; other formats keep it.
    as_text = [
        pa.field(field.name, pa.string()) for field in table.schema if _holds_time(field.type)
    ]
    if as_text:
        parse = pyarrow.json.ParseOptions(explicit_schema=pa.schema(as_text))
        names = table.schema.names
        table = pyarrow.json.read_json(io.BytesIO(text), options, parse).select(names)
    return table


def _holds_time(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(data_type))


def _parse_lines(
    lines: list[bytes], indices: np.ndarray
) -> tuple[pa.RecordBatch, np.ndarray, list[tuple[int, str]]]:
    rows: list[dict[str, Any]] = []
    kept: list[int] = []
    malformed: list[tuple[int, str]] = []
    for index in indices.tolist():
        try:
            row = json.loads(lines[index])
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
            kept.append(index)
        else:
            malformed.append((index, "line is not a JSON object"))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _to_column([row.get(name) for row in rows]) for name in names}
    return pa.record_batch(columns), np.array(kept, np.int64), malformed


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
