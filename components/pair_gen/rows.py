"""Record batches of rows on their way through the transforms.

One row an example: ``id``, ``label``, ``class``, ``x``; or one a pair, where data came in pairs:
``id``, ``left_id``, ``right_id``, ``same``, ``left``, ``right``. Both with ``key``, of the class,
and ``hash``, of the id.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.pair_gen.hashing import I64, U64, Bytes2D, class_keys, hash_ids
from diptych.schemas import inputs as names
from diptych.schemas.errors import DataError
from diptych.schemas.inputs import Inputs
from diptych.schemas.shards import ID_BYTES, InputShape

_KEY, _HASH = pa.field("key", pa.uint64()), pa.field("hash", pa.uint64())


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


def flat_rows(decoded: pa.RecordBatch, inputs: Inputs, seed: int) -> pa.RecordBatch:
    """Rows of decoded tf.Examples, in which every column is a list.

    Raises:
      DataError: a feature lacks, or has another number of values than it should.
    """
    columns: list[pa.Array] = []
    for field in row_schema(inputs):
        if field.name == "key":
            columns.append(pa.array(_keys(columns, inputs)))
        elif field.name == "hash":
            columns.append(pa.array(hash_ids(bytes_of(columns[0]), seed)))
        else:
            columns.append(_flat(decoded, field, inputs.shape))
    return pa.RecordBatch.from_arrays(columns, schema=row_schema(inputs))


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
    order = np.lexsort((ids[:, 1], ids[:, 0], hashes, classes))
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


def _keys(columns: list[pa.Array], inputs: Inputs) -> U64:
    if inputs.paired:
        return int64_of(columns[3]).astype(np.uint64)
    labels = columns[1].dictionary_encode()
    keys = class_keys(labels.dictionary.to_pylist())
    return keys[int64_of(labels.indices)]


def _flat(decoded: pa.RecordBatch, field: pa.Field, shape: InputShape) -> pa.Array:
    index = decoded.schema.get_field_index(field.name)
    if index < 0:
        raise DataError(
            f"Transformed examples need a feature {field.name!r}, got {decoded.schema.names}. "
            "Check that the transform and the pairs have the same inputs."
        )
    column = decoded.column(index)
    is_list = pa.types.is_fixed_size_list(field.type)
    width = field.type.list_size if is_list else 1
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    values = column.flatten()
    _need(lengths, width, f"values of the feature {field.name!r}")
    if is_list:
        values = values.cast(pa.float32())
        return pa.FixedSizeListArray.from_arrays(values, type=field.type)
    if field.name in (names.ID, names.LEFT_ID, names.RIGHT_ID):
        hexadecimal = _fixed(values, 2 * ID_BYTES, field.name)
        return _column(_unhex(bytes_of(hexadecimal), field.name))
    if pa.types.is_fixed_size_binary(field.type):
        return _fixed(values, field.type.byte_width, field.name)
    return values.cast(field.type)


def _fixed(values: pa.Array, width: int, name: str) -> pa.Array:
    """Binary values of one width as fixed size binary, without a copy."""
    values = values.cast(pa.binary())
    _need(pc.binary_length(values).to_numpy(zero_copy_only=False), width, f"bytes of {name!r}")
    offsets = np.frombuffer(values.buffers()[1], np.int32)
    start = int(offsets[values.offset]) if len(values) else 0
    data = values.buffers()[2] or pa.py_buffer(b"")
    data = data.slice(start, len(values) * width)
    return pa.Array.from_buffers(pa.binary(width), len(values), [None, data])


def _need(lengths: npt.NDArray[np.int64], width: int, what: str) -> None:
    wrong = np.flatnonzero(lengths != width)
    if wrong.size:
        raise DataError(
            f"Need {width} {what} in every example, got {int(lengths[wrong[0]])} in "
            f"{wrong.size} of {lengths.size}. Check the input's size and columns."
        )


_NIBBLES = np.full(256, 255, np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdefABCDEF", np.uint8)] = [*range(16), *range(10, 16)]


def _unhex(text: Bytes2D, name: str) -> Bytes2D:
    nibbles = _NIBBLES[text]
    if (nibbles == 255).any():
        raise DataError(f"The feature {name!r} must be {2 * ID_BYTES} hexadecimal digits.")
    digits: Bytes2D = (nibbles[:, 0::2] << np.uint8(4)) | nibbles[:, 1::2]
    return digits


def _column(values: Bytes2D) -> pa.Array:
    count, width = values.shape
    data = pa.py_buffer(np.ascontiguousarray(values).tobytes())
    return pa.Array.from_buffers(pa.binary(width), count, [None, data])
