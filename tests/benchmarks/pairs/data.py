"""Transformed examples as the Transform step writes them: gzipped TFRecords of tf.Examples."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

_FILES = 8
_ROWS_AT_ONCE = 50_000
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_LABEL_BYTES = 8
_CLASS_BYTES = 3  # of the varint, padded so that all rows have the same length; parsers accept this


def class_sizes(examples: int, classes: int, exponent: float) -> npt.NDArray[np.int64]:
    """Return class sizes that decrease as 1 / rank ** exponent (Zipf), at least 1 each."""
    share = np.arange(1, classes + 1) ** -exponent
    sizes = np.maximum((share / share.sum() * examples).astype(np.int64), 1)
    sizes[0] += examples - sizes.sum()
    return sizes


def make_data(folder: Path, sizes: npt.NDArray[np.int64], width: int) -> list[str]:
    """Write shuffled examples with ``width`` bytes of input, if missing; return the files."""
    import tensorflow as tf

    paths = [folder / f"examples-{number}.gz" for number in range(_FILES)]
    done = folder / "done.json"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        classes = np.repeat(np.arange(sizes.size), sizes)
        rng.shuffle(classes)
        options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
        for path, file_classes in zip(paths, np.array_split(classes, _FILES), strict=True):
            with tf.io.TFRecordWriter(str(path), options) as writer:
                for start in range(0, file_classes.size, _ROWS_AT_ONCE):
                    for row in _serialize_examples(
                        file_classes[start : start + _ROWS_AT_ONCE], width, rng
                    ):
                        writer.write(row.tobytes())
        done.write_text(json.dumps({"examples": int(sizes.sum()), "width": width}))
    return [str(path) for path in paths]


def _serialize_examples(
    classes: npt.NDArray[np.int64], width: int, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    count = classes.size
    ids = _DIGITS[rng.integers(0, 16, (count, 32), np.uint8)]
    x = rng.integers(0, 16, (count, width), np.uint8)
    label = np.array([b"%0*d" % (_LABEL_BYTES, number) for number in classes.tolist()])
    varint = np.stack([classes & 127 | 128, classes >> 7 & 127 | 128, classes >> 14], axis=1)
    parts = {
        "class": (3, varint.astype(np.uint8)),
        "id": (1, ids),
        "label": (1, label.view(np.uint8).reshape(count, _LABEL_BYTES)),
        "x": (1, x),
    }
    columns: list[npt.NDArray[np.uint8]] = []
    total = 0
    for name, (kind, value) in parts.items():
        inner = _encode_field_header(1, value.shape[1])
        middle = _encode_field_header(kind, len(inner) + value.shape[1])
        outer = (
            _encode_field_header(1, len(name))
            + name.encode()
            + _encode_field_header(2, len(middle + inner) + value.shape[1])
        )
        outer += middle + inner
        before = _encode_field_header(1, len(outer) + value.shape[1]) + outer
        columns += [np.broadcast_to(np.frombuffer(before, np.uint8), (count, len(before))), value]
        total += len(before) + value.shape[1]
    head = np.frombuffer(_encode_field_header(1, total), np.uint8)
    return np.concatenate([np.broadcast_to(head, (count, head.size)), *columns], axis=1)


def _encode_field_header(field: int, length: int) -> bytes:
    """Encode the tag of a length-delimited field, and its length as a varint."""
    digits = bytearray([field << 3 | 2])
    while length > 127:
        digits.append(length & 127 | 128)
        length >>= 7
    digits.append(length)
    return bytes(digits)
