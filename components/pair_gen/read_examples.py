"""Transformed examples from TFRecord files, thousands at a time, parsed by TensorFlow's threads."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from diptych.components.pair_gen.rows import Columns, Labels, make_rows, row_bytes
from diptych.schemas import input_spec as names
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Inputs

_BATCH_BYTES = 16 * 2**20  # of a record batch, roughly
_MAX_BATCH_ROWS = 2**14
_FILE_BUFFER_BYTES = 2**20


def read_rows(path: str, inputs: Inputs, seed: int) -> Iterator[pa.RecordBatch]:
    """Reads the rows of a file, see ``rows``.

    Args:
      path: of a TFRecord file of tf.Examples, gzipped if it ends in ``.gz``.
      inputs: of the run.
      seed: of the hashes.

    Raises:
      DataError: a feature lacks, is of another type or has another size than it should.
    """
    import tensorflow as tf

    spec = _features(inputs)
    size = min(_MAX_BATCH_ROWS, max(_BATCH_BYTES // row_bytes(inputs), 1))
    compression = "GZIP" if path.endswith(".gz") else ""
    records = tf.data.TFRecordDataset(path, compression, _FILE_BUFFER_BYTES)
    for serialized in records.batch(size).prefetch(1):
        try:
            columns = _columns(tf.io.parse_example(serialized, spec), inputs)
        except tf.errors.InvalidArgumentError as error:
            message = " ".join(re.sub(r"\{\{.*?\}\}", "", error.message).split())
            raise DataError(
                f"Transformed examples must all have the features {', '.join(sorted(spec))}, of "
                f"one size each: {message} "
                "Check that the transform and the pairs have the same inputs."
            ) from error
        yield make_rows(columns, inputs, seed)


def _features(inputs: Inputs) -> dict[str, Any]:
    import tensorflow as tf

    one_string = tf.io.FixedLenFeature([], tf.string)
    one_number = tf.io.FixedLenFeature([], tf.int64)
    x = one_string
    if inputs.kind == "vector":
        x = tf.io.FixedLenFeature(inputs.shape.shape, tf.float32)
    if inputs.paired:
        ids = dict.fromkeys((names.ID, names.LEFT_ID, names.RIGHT_ID), one_string)
        return ids | {names.SAME: one_number, names.LEFT: x, names.RIGHT: x}
    return {names.ID: one_string, names.LABEL: one_string, names.CLASS: one_number, names.X: x}


def _columns(parsed: dict[str, Any], inputs: Inputs) -> Columns:
    import tensorflow as tf

    columns: Columns = {}
    for name, values in parsed.items():
        if name == names.LABEL:
            distinct, number = tf.unique(values)
            columns[name] = Labels(distinct.numpy().tolist(), number.numpy().astype(np.int64))
        elif values.dtype == tf.string:
            columns[name] = tf.io.decode_raw(values, tf.uint8).numpy()
        else:
            columns[name] = values.numpy()
    return columns
