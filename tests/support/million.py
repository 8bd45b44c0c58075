"""Transformed examples by the million, of any class sizes, written in seconds."""

import numpy as np
import pyarrow as pa

from diptych.components.example_gen.encoding import encode_examples
from diptych.components.pair_gen.hashing import class_keys
from diptych.schemas.input_spec import Inputs

SIDE = 8
INPUTS = Inputs(kind="image", size=(SIDE, SIDE), channels=1)  # 64 bytes an example
OFFSET = 2**14  # from here up to 2**21, numbers of classes take three bytes on the wire
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_FILES = 8


def write_examples(folder, sizes):
    """Writes examples in a shuffled order; number n of them has the id n and pixels of n % 251.

    All rows are of one length, so one encoded row serves as the template of all.
    """
    import tensorflow as tf

    total = int(sum(sizes))
    classes = np.repeat(np.arange(len(sizes)), sizes)
    shuffled = np.random.default_rng(0).permutation(total)
    folder.mkdir()
    paths = []
    for part, numbers in enumerate(np.array_split(shuffled, _FILES)):
        rows = _encoded(numbers, classes[numbers])
        paths.append(str(folder / f"{part}"))
        with tf.io.TFRecordWriter(paths[-1]) as writer:
            for row in rows:
                writer.write(row.tobytes())
    return paths


def class_keys_of(number):
    """Keys of that many classes."""
    return class_keys(b"%07d" % (OFFSET + kind) for kind in range(number))


def ids_of(numbers):
    """Ids of examples, (n, 16) uint8."""
    ids = np.zeros((numbers.size, 2), ">u8")
    ids[:, 1] = numbers
    return ids.view(np.uint8).reshape(-1, 16)


def numbers_of(ids):
    """Numbers of the examples with some ids."""
    return np.ascontiguousarray(ids).view(">u8")[:, 1].astype(np.int64)


def _encoded(numbers, classes):
    marks = {"id": b"i" * 32, "label": b"l" * 7, "x": b"x" * SIDE * SIDE}
    columns = {name: pa.array([[mark]]) for name, mark in marks.items()}
    columns["class"] = pa.array([[2**20 + 2**13 + 1]])
    marks["class"] = bytes([0x81, 0xC0, 0x40])
    (template,) = encode_examples(pa.record_batch(columns))
    rows = np.tile(np.frombuffer(template, np.uint8), (numbers.size, 1))
    kind = classes[:, None] + OFFSET
    nibbles = ids_of(numbers)[:, :, None] >> np.array([4, 0], np.uint8) & 15
    values = {
        "id": _DIGITS[nibbles.reshape(-1, 32)],
        "label": _DIGITS[kind // 10 ** np.arange(6, -1, -1) % 10],
        "x": np.broadcast_to(numbers[:, None] % 251, (numbers.size, SIDE * SIDE)),
        "class": kind >> np.array([0, 7, 14]) & 127 | np.array([128, 128, 0]),
    }
    for name, value in values.items():
        start = template.index(marks[name])
        rows[:, start : start + len(marks[name])] = value
    return rows
