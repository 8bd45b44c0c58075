"""Write millions of transformed examples with any class sizes in seconds."""

import numpy as np
import pyarrow as pa

from diptych.components.example_gen.encoding import encode_examples
from diptych.components.pair_gen.hashing import hash_labels
from diptych.schemas.input_spec import InputSpec

SIDE = 8
INPUTS = InputSpec(kind="image", size=(SIDE, SIDE), channels=1)  # 64 bytes per example
OFFSET = 2**14  # class numbers from here up to 2**21 are three-byte varints
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_FILES = 8


def write_examples(folder, sizes):
    """Write examples in shuffled order. Example n has the id n and pixels of n % 251.

    All rows have the same length, so one encoded row is the template of all others.
    """
    import tensorflow as tf

    total = int(sum(sizes))
    classes = np.repeat(np.arange(len(sizes)), sizes)
    shuffled = np.random.default_rng(0).permutation(total)
    folder.mkdir()
    paths = []
    for part, numbers in enumerate(np.array_split(shuffled, _FILES)):
        rows = _encode_rows(numbers, classes[numbers])
        paths.append(str(folder / f"{part}"))
        with tf.io.TFRecordWriter(paths[-1]) as writer:
            for row in rows:
                writer.write(row.tobytes())
    return paths


def make_class_keys(number):
    """Return the keys of the given number of classes."""
    return hash_labels(b"%07d" % (OFFSET + index) for index in range(number))


def make_ids(numbers):
    """Convert example numbers to ids, (n, 16) uint8."""
    ids = np.zeros((numbers.size, 2), ">u8")
    ids[:, 1] = numbers
    return ids.view(np.uint8).reshape(-1, 16)


def ids_to_numbers(ids):
    """Convert ids to example numbers."""
    return np.ascontiguousarray(ids).view(">u8")[:, 1].astype(np.int64)


def _encode_rows(numbers, classes):
    placeholders = {"id": b"i" * 32, "label": b"l" * 7, "x": b"x" * SIDE * SIDE}
    columns = {name: pa.array([[placeholder]]) for name, placeholder in placeholders.items()}
    columns["class"] = pa.array([[2**20 + 2**13 + 1]])
    placeholders["class"] = bytes([0x81, 0xC0, 0x40])
    (template,) = encode_examples(pa.record_batch(columns))
    rows = np.tile(np.frombuffer(template, np.uint8), (numbers.size, 1))
    class_numbers = classes[:, None] + OFFSET
    nibbles = make_ids(numbers)[:, :, None] >> np.array([4, 0], np.uint8) & 15
    values = {
        "id": _DIGITS[nibbles.reshape(-1, 32)],
        "label": _DIGITS[class_numbers // 10 ** np.arange(6, -1, -1) % 10],
        "x": np.broadcast_to(numbers[:, None] % 251, (numbers.size, SIDE * SIDE)),
        "class": class_numbers >> np.array([0, 7, 14]) & 127 | np.array([128, 128, 0]),
    }
    for name, value in values.items():
        start = template.index(placeholders[name])
        rows[:, start : start + len(placeholders[name])] = value
    return rows
