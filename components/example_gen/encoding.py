"""Serialize record batches to tf.Examples, deterministically.

The encoder of ``tfx_bsl`` writes the features of each example in the iteration order of a C++ hash
map, so two runs on the same data would differ in every file. Here all rows of a batch have the same
layout, and NumPy copies all float columns at once.

Wire format of a tf.Example, each level prefixed with its length::

    Example -> features (1) -> map entries (1): name (1), Feature (2)
      -> bytes_list (1), float_list (2) or int64_list (3) -> values (1)
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


def encode_examples(batch: pa.RecordBatch) -> list[bytes]:
    """Serialize rows, with the features in the order of the columns.

    Float features come first.

    Args:
      batch: One list column per feature: float32 lists of equal length, or a single binary or
        non-negative int64 value per row. No nulls.

    Returns:
      (n,) serialized tf.Examples.
    """
    if not batch.num_rows:
        return []
    float_columns: list[tuple[str, npt.NDArray[np.float32]]] = []
    entries: list[Sequence[bytes]] = []
    for name in batch.schema.names:
        values = batch.column(name).flatten()
        if pa.types.is_float32(values.type):
            matrix = values.to_numpy(zero_copy_only=False)
            float_columns.append((name, matrix.reshape(batch.num_rows, -1)))
        elif pa.types.is_int64(values.type):
            encoded = (_encode_field(1, _encode_varint(v)) for v in values.to_pylist())
            entries.append([_encode_map_entry(name, _INT64_LIST, value) for value in encoded])
        else:
            encoded = (_encode_field(1, value) for value in values.to_pylist())
            entries.append([_encode_map_entry(name, _BYTES_LIST, value) for value in encoded])
    if float_columns:
        entries.insert(0, _encode_float_columns(float_columns, batch.num_rows))
    return [_encode_field(1, b"".join(row)) for row in zip(*entries, strict=True)]


def _encode_float_columns(
    columns: Iterable[tuple[str, npt.NDArray[np.float32]]], num_rows: int
) -> list[bytes]:
    blocks: list[npt.NDArray[np.uint8]] = []
    for name, matrix in columns:
        payload = np.ascontiguousarray(matrix, "<f4").view(np.uint8)
        # The bytes in front of the numbers are the same in every row.
        entry = _encode_map_entry(name, _FLOAT_LIST, _encode_field(1, bytes(payload.shape[1])))
        header = np.frombuffer(entry[: len(entry) - payload.shape[1]], np.uint8)
        blocks += [np.broadcast_to(header, (num_rows, len(header))), payload]
    rows = np.concatenate(blocks, axis=1)
    return [row.tobytes() for row in rows]


def _encode_map_entry(name: str, list_field: int, values: bytes) -> bytes:
    feature = _encode_field(list_field, values)
    return _encode_field(1, _encode_field(1, name.encode()) + _encode_field(2, feature))


def _encode_field(number: int, content: bytes) -> bytes:
    """Encode a length-delimited field: all fields here have wire type 2."""
    return bytes([number << 3 | 2]) + _encode_varint(len(content)) + content


def _encode_varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
