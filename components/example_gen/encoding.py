"""Record batches to serialized tf.Examples, the same bytes every time.

``tfx_bsl`` has an encoder too, but writes the features of each example in a random order (that of
a C++ hash map), so that two runs on the same data would differ in every file. And all rows of
a batch have the same layout here: the vectors are laid out by NumPy, 400 columns at once.

A tf.Example on the wire, each level with its length in front::

    Example -> features (1) -> map entries (1): name (1), Feature (2)
      -> bytes_list (1), float_list (2) or int64_list (3) -> values (1)
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


def encode_examples(batch: pa.RecordBatch) -> list[bytes]:
    """Encodes rows, features in the order of the columns.

    Args:
      batch: a list column a feature: float32 lists, all of one length, or one value of binary
        or int64 (0 or more) each. No nulls.

    Returns:
      (n,) serialized tf.Examples.
    """
    if not batch.num_rows:
        return []
    floats: list[tuple[str, npt.NDArray[np.float32]]] = []
    parts: list[Sequence[bytes]] = []
    for name in batch.schema.names:
        values = batch.column(name).flatten()
        if pa.types.is_float32(values.type):
            matrix = values.to_numpy(zero_copy_only=False)
            floats.append((name, matrix.reshape(batch.num_rows, -1)))
        elif pa.types.is_int64(values.type):
            packed = (_field(1, _varint(value)) for value in values.to_pylist())
            parts.append([_entry(name, _INT64_LIST, value) for value in packed])
        else:
            parts.append([_entry(name, _BYTES_LIST, _field(1, v)) for v in values.to_pylist()])
    if floats:
        parts.insert(0, _float_entries(floats, batch.num_rows))
    return [_field(1, b"".join(row)) for row in zip(*parts, strict=True)]


def _float_entries(
    columns: Iterable[tuple[str, npt.NDArray[np.float32]]], num_rows: int
) -> list[bytes]:
    blocks: list[npt.NDArray[np.uint8]] = []
    for name, matrix in columns:
        payload = np.ascontiguousarray(matrix, "<f4").view(np.uint8)
        # What stands before the numbers is the same in every row.
        entry = _entry(name, _FLOAT_LIST, _field(1, bytes(payload.shape[1])))
        before = np.frombuffer(entry[: len(entry) - payload.shape[1]], np.uint8)
        blocks += [np.broadcast_to(before, (num_rows, len(before))), payload]
    rows = np.concatenate(blocks, axis=1)
    return [row.tobytes() for row in rows]


def _entry(name: str, kind: int, values: bytes) -> bytes:
    return _field(1, _field(1, name.encode()) + _field(2, _field(kind, values)))


def _field(number: int, content: bytes) -> bytes:
    """A field with its length: 2 is the wire type of all that is used here."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
