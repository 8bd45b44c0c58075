"""Record batches of rows between the transforms.

One row per example: ``id``, ``label``, ``class``, ``x``; or one per given pair: ``id``,
``left_id``, ``right_id``, ``same``, ``left``, ``right``. Both also have the ``key`` of the class
and the ``hash`` of the id.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.pair_gen.hashing import I64, U64, Bytes2D, hash_ids, hash_labels
from diptych.components.pair_gen.sorting import argsort_columns
from diptych.schemas import input_spec as names
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.shards import ID_BYTES, fixed_binary_to_numpy

_KEY, _HASH = pa.field("key", pa.uint64()), pa.field("hash", pa.uint64())


@dataclasses.dataclass(frozen=True)
class LabelColumn:
    """Labels of rows: the unique labels, and the index of each row's label in them."""

    unique: list[bytes]
    index: I64


FeatureColumns = dict[str, LabelColumn | npt.NDArray[Any]]


def row_schema(inputs: InputSpec) -> pa.Schema:
    """Return the columns of the rows."""
    id_type, x = pa.binary(ID_BYTES), inputs.shape.arrow_type
    fields: list[tuple[str, pa.DataType]]
    if inputs.paired:
        fields = [(names.ID, id_type), (names.LEFT_ID, id_type), (names.RIGHT_ID, id_type)]
        fields += [(names.SAME, pa.int64()), (names.LEFT, x), (names.RIGHT, x)]
    else:
        fields = [(names.ID, id_type), (names.LABEL, pa.binary())]
        fields += [(names.CLASS, pa.int64()), (names.X, x)]
    return pa.schema([*fields, _KEY, _HASH])


def estimate_row_bytes(inputs: InputSpec) -> int:
    """Estimate the memory of a row."""
    width = int(np.prod(inputs.shape.shape)) * (1 if inputs.kind == "image" else 4)
    return 128 + width * (2 if inputs.paired else 1)


def make_rows(columns: FeatureColumns, inputs: InputSpec, seed: int) -> pa.RecordBatch:
    """Convert parsed features to rows.

    Args:
      columns: Columns by feature name: labels; integers (n,); vectors (n, d) float32; images (n,
        bytes) uint8; ids (n, 32) uint8, the hexadecimal digits.
      inputs, seed: Settings of the run.

    Raises:
      DataError: If an input has the wrong size, an id is not hexadecimal, a label is empty,
        ``same`` of a given pair is neither 0 nor 1, or both sides of a pair are the same example.
    """
    arrays: list[pa.Array] = []
    for field in row_schema(inputs):
        if field.name == "key":
            arrays.append(pa.array(_compute_row_keys(columns)))
        elif field.name == "hash":
            arrays.append(pa.array(hash_ids(fixed_binary_to_numpy(arrays[0], ID_BYTES), seed)))
        else:
            arrays.append(_to_arrow(columns[field.name], field))
    return pa.RecordBatch.from_arrays(arrays, schema=row_schema(inputs))


def to_int64(column: pa.Array) -> I64:
    """Convert a column to int64."""
    numbers: I64 = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers


def concat_batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """Concatenate record batches; without any, the result is empty."""
    parts = list(batches)
    columns = [
        pa.concat_arrays([pa.array([], field.type), *(part.column(index) for part in parts)])
        for index, field in enumerate(schema)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def argsort_rows(rows: pa.RecordBatch, classes: I64) -> I64:
    """Order rows by class, then by hash of the id, whatever their current order.

    Rows of a class with equal ids, which are not expected, are ordered by their content.
    """
    hashes: U64 = rows.column("hash").to_numpy()
    ids = fixed_binary_to_numpy(rows.column(names.ID), ID_BYTES).view(">u8").astype(np.uint64)
    order = argsort_columns(classes, hashes)
    same_hash = (hashes[order[1:]] == hashes[order[:-1]]) & (
        classes[order[1:]] == classes[order[:-1]]
    )
    if not same_hash.any():
        return order
    order = argsort_columns(classes, hashes, ids[:, 0], ids[:, 1])
    tied = (ids[order[1:]] == ids[order[:-1]]).all(axis=1)
    tied &= classes[order[1:]] == classes[order[:-1]]
    if tied.any():
        run = np.concatenate([[0], (~tied).cumsum()])
        tied_rows = np.flatnonzero(np.bincount(run)[run] > 1)
        content = {i: _row_content(rows, int(order[i])) for i in tied_rows.tolist()}
        swapped = sorted(tied_rows.tolist(), key=lambda i: (run[i], content[i]))
        order[tied_rows] = order[swapped]
    return order


def _row_content(rows: pa.RecordBatch, index: int) -> bytes:
    row = rows.slice(index, 1)
    values = [column[0].as_py() for column in row.columns]
    return repr(values).encode()


def _compute_row_keys(columns: FeatureColumns) -> U64:
    labels = columns.get(names.LABEL)
    if isinstance(labels, LabelColumn):
        _check_row_labels(labels)
        return hash_labels(labels.unique)[labels.index]
    left, right, same = (
        np.asarray(columns[name]) for name in (names.LEFT_ID, names.RIGHT_ID, names.SAME)
    )
    _check_given_pairs(left, right, same)
    return same.astype(np.uint64)


def _check_row_labels(labels: LabelColumn) -> None:
    if b"" in labels.unique:
        empty = int((labels.index == labels.unique.index(b"")).sum())
        raise DataError(
            f"Every example needs a label, got {empty} of {labels.index.size} with an empty one. "
            "Choose another label, or remove these examples."
        )


def _check_given_pairs(left: Bytes2D, right: Bytes2D, same: I64) -> None:
    unknown = same[(same != 0) & (same != 1)]
    if unknown.size:
        raise DataError(
            f"The feature {names.SAME!r} must be 1 for a positive pair and 0 for a negative pair, "
            f"got {int(unknown[0])} in {unknown.size} of {same.size}. Check data.same."
        )
    num_identical = int((left == right).all(axis=1).sum())
    if num_identical:
        raise DataError(
            f"A pair needs two different examples, got {num_identical} of {same.size} pairs of "
            "an example with itself. Remove these pairs."
        )


def _to_arrow(values: LabelColumn | npt.NDArray[Any], field: pa.Field) -> pa.Array:
    if isinstance(values, LabelColumn):
        return pa.array(values.unique, pa.binary()).take(pa.array(values.index))
    if values.ndim == 1:
        return pa.array(values)
    if pa.types.is_fixed_size_list(field.type):
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), type=field.type)
    is_id = field.name in (names.ID, names.LEFT_ID, names.RIGHT_ID)
    width = field.type.byte_width
    needed = 2 * width if is_id else width
    if values.shape[1] != needed:
        raise DataError(
            f"The feature {field.name!r} must have {needed} bytes in every example, got "
            f"{values.shape[1]}. Check the size and the columns of the input."
        )
    values = _decode_hex_ids(values, field.name) if is_id else np.ascontiguousarray(values)
    return pa.Array.from_buffers(field.type, len(values), [None, pa.py_buffer(values)])


_NIBBLES = np.full(256, 255, np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdefABCDEF", np.uint8)] = [*range(16), *range(10, 16)]


def _decode_hex_ids(text: Bytes2D, name: str) -> Bytes2D:
    nibbles = _NIBBLES[text]
    if (nibbles == 255).any():
        raise DataError(
            f"The feature {name!r} must be {2 * ID_BYTES} hexadecimal digits. Check the transform."
        )
    digits: Bytes2D = (nibbles[:, 0::2] << np.uint8(4)) | nibbles[:, 1::2]
    return digits
