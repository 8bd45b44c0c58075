"""Record batches of rows on their way through the transforms.

One row an example: ``id``, ``label``, ``class``, ``x``; or one a pair, where data came in pairs:
``id``, ``left_id``, ``right_id``, ``same``, ``left``, ``right``. Both with ``key``, of the class,
and ``hash``, of the id.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.pair_gen.hashing import I64, U64, Bytes2D, class_keys, hash_ids
from diptych.components.pair_gen.sorting import order_by
from diptych.schemas import input_spec as names
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Inputs
from diptych.schemas.shards import ID_BYTES

_KEY, _HASH = pa.field("key", pa.uint64()), pa.field("hash", pa.uint64())


@dataclasses.dataclass(frozen=True)
class Labels:
    """Labels of rows: the distinct ones, and which of them each row has."""

    distinct: list[bytes]
    number: I64


Columns = dict[str, Labels | npt.NDArray[Any]]


def row_schema(inputs: Inputs) -> pa.Schema:
    """Columns of the rows."""
    id_type, x = pa.binary(ID_BYTES), inputs.shape.arrow_type
    fields: list[tuple[str, pa.DataType]]
    if inputs.paired:
        fields = [(names.ID, id_type), (names.LEFT_ID, id_type), (names.RIGHT_ID, id_type)]
        fields += [(names.SAME, pa.int64()), (names.LEFT, x), (names.RIGHT, x)]
    else:
        fields = [(names.ID, id_type), (names.LABEL, pa.binary())]
        fields += [(names.CLASS, pa.int64()), (names.X, x)]
    return pa.schema([*fields, _KEY, _HASH])


def row_bytes(inputs: Inputs) -> int:
    """Roughly what a row takes up."""
    width = int(np.prod(inputs.shape.shape)) * (1 if inputs.kind == "image" else 4)
    return 128 + width * (2 if inputs.paired else 1)


def make_rows(columns: Columns, inputs: Inputs, seed: int) -> pa.RecordBatch:
    """Rows of parsed features.

    Args:
      columns: by the name of the feature: labels; whole numbers (n,); vectors (n, d) float32;
        images (n, bytes) uint8; ids (n, 32) uint8, the hexadecimal digits.
      inputs, seed: of the run.

    Raises:
      DataError: an input has another size than it should, an id is none, a label is empty, or a
        given pair is neither same nor different, or of an example with itself.
    """
    arrays: list[pa.Array] = []
    for field in row_schema(inputs):
        if field.name == "key":
            arrays.append(pa.array(_keys(columns)))
        elif field.name == "hash":
            arrays.append(pa.array(hash_ids(bytes_of(arrays[0]), seed)))
        else:
            arrays.append(_array(columns[field.name], field))
    return pa.RecordBatch.from_arrays(arrays, schema=row_schema(inputs))


def bytes_of(column: pa.Array) -> Bytes2D:
    """A column of fixed size binary as (n, width)."""
    width = column.type.byte_width
    flat = np.frombuffer(column.buffers()[1] or b"", np.uint8)
    start = column.offset * width
    return flat[start : start + len(column) * width].reshape(len(column), width)


def int64_of(column: pa.Array) -> I64:
    """A column of whole numbers."""
    numbers: I64 = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers


def joined(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """One record batch of many, or an empty one."""
    parts = list(batches)
    columns = [
        pa.concat_arrays([pa.array([], field.type), *(part.column(index) for part in parts)])
        for index, field in enumerate(schema)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def sort_order(rows: pa.RecordBatch, classes: I64) -> I64:
    """Order of rows by class, then hash of the id; the same for any order they came in.

    Rows of a class with equal ids, which should not be, are ordered by all they hold.
    """
    hashes: U64 = rows.column("hash").to_numpy()
    ids = bytes_of(rows.column(names.ID)).view(">u8").astype(np.uint64)
    order = order_by(classes, hashes)
    alike = (hashes[order[1:]] == hashes[order[:-1]]) & (classes[order[1:]] == classes[order[:-1]])
    if not alike.any():
        return order
    order = order_by(classes, hashes, ids[:, 0], ids[:, 1])
    tied = (ids[order[1:]] == ids[order[:-1]]).all(axis=1)
    tied &= classes[order[1:]] == classes[order[:-1]]
    if tied.any():
        run = np.concatenate([[0], (~tied).cumsum()])
        alike = np.flatnonzero(np.bincount(run)[run] > 1)
        content = {place: _content(rows, int(order[place])) for place in alike.tolist()}
        swapped = sorted(alike.tolist(), key=lambda place: (run[place], content[place]))
        order[alike] = order[swapped]
    return order


def _content(rows: pa.RecordBatch, index: int) -> bytes:
    row = rows.slice(index, 1)
    values = [column[0].as_py() for column in row.columns]
    return repr(values).encode()


def _keys(columns: Columns) -> U64:
    labels = columns.get(names.LABEL)
    if isinstance(labels, Labels):
        _check_labels(labels)
        return class_keys(labels.distinct)[labels.number]
    left, right, same = (
        np.asarray(columns[name]) for name in (names.LEFT_ID, names.RIGHT_ID, names.SAME)
    )
    _check_pairs(left, right, same)
    return same.astype(np.uint64)


def _check_labels(labels: Labels) -> None:
    if b"" in labels.distinct:
        empty = int((labels.number == labels.distinct.index(b"")).sum())
        raise DataError(
            f"Every example needs a label, got {empty} of {labels.number.size} with an empty one. "
            "Name another label, or remove these examples."
        )


def _check_pairs(left: Bytes2D, right: Bytes2D, same: I64) -> None:
    unknown = same[(same != 0) & (same != 1)]
    if unknown.size:
        raise DataError(
            f"The feature {names.SAME!r} must be 1 for a same pair and 0 for a different one, got "
            f"{int(unknown[0])} in {unknown.size} of {same.size}. Check data.same."
        )
    alike = int((left == right).all(axis=1).sum())
    if alike:
        raise DataError(
            f"A pair needs two different examples, got {alike} of {same.size} pairs of an example "
            "with itself. Remove them: they say nothing."
        )


def _array(values: Labels | npt.NDArray[Any], field: pa.Field) -> pa.Array:
    if isinstance(values, Labels):
        return pa.array(values.distinct, pa.binary()).take(pa.array(values.number))
    if values.ndim == 1:
        return pa.array(values)
    if pa.types.is_fixed_size_list(field.type):
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), type=field.type)
    is_id = field.name in (names.ID, names.LEFT_ID, names.RIGHT_ID)
    width = field.type.byte_width
    needed = 2 * width if is_id else width
    if values.shape[1] != needed:
        raise DataError(
            f"Need {needed} bytes of {field.name!r} in every example, got {values.shape[1]}. "
            "Check the input's size and columns."
        )
    values = _unhex(values, field.name) if is_id else np.ascontiguousarray(values)
    return pa.Array.from_buffers(field.type, len(values), [None, pa.py_buffer(values)])


_NIBBLES = np.full(256, 255, np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdefABCDEF", np.uint8)] = [*range(16), *range(10, 16)]


def _unhex(text: Bytes2D, name: str) -> Bytes2D:
    nibbles = _NIBBLES[text]
    if (nibbles == 255).any():
        raise DataError(f"The feature {name!r} must be {2 * ID_BYTES} hexadecimal digits.")
    digits: Bytes2D = (nibbles[:, 0::2] << np.uint8(4)) | nibbles[:, 1::2]
    return digits
