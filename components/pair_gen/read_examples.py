"""Read transformed examples from TFRecord files in large batches, parsed by TensorFlow threads."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from diptych.components.pair_gen.rows import (
    FeatureColumns,
    LabelColumn,
    estimate_row_bytes,
    make_rows,
)
from diptych.schemas import input_spec as names
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import InputSpec

_BATCH_BYTES = 16 * 2**20  # of a record batch, approximately
_MAX_BATCH_ROWS = 2**14
_FILE_BUFFER_BYTES = 2**20


def read_transformed_rows(path: str, inputs: InputSpec, seed: int) -> Iterator[pa.RecordBatch]:
    """Read the rows of a file, see ``rows``.

    Args:
      path: TFRecord file of tf.Examples, gzipped if it ends in ``.gz``.
      inputs: Inputs of the run.
      seed: Seed of the hashes.

    Raises:
      DataError: If a feature is missing or has the wrong type or size.
    """
    import tensorflow as tf

    spec = _feature_spec(inputs)
    size = min(_MAX_BATCH_ROWS, max(_BATCH_BYTES // estimate_row_bytes(inputs), 1))
    compression = "GZIP" if path.endswith(".gz") else ""
    records = tf.data.TFRecordDataset(path, compression, _FILE_BUFFER_BYTES)
    for serialized in records.batch(size).prefetch(1):
        try:
            columns = _to_feature_columns(tf.io.parse_example(serialized, spec), inputs)
        except tf.errors.InvalidArgumentError as error:
            message = " ".join(re.sub(r"\{\{.*?\}\}", "", error.message).split())
            raise DataError(
                f"Transformed examples must all have the features {', '.join(sorted(spec))}, of "
                f"one size each: {message} "
                "Check that the transform and the pairs use the same inputs."
            ) from error
        yield make_rows(columns, inputs, seed)


def _feature_spec(inputs: InputSpec) -> dict[str, Any]:
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


def _to_feature_columns(parsed: dict[str, Any], inputs: InputSpec) -> FeatureColumns:
    import tensorflow as tf

    columns: FeatureColumns = {}
    for name, values in parsed.items():
        if name == names.LABEL:
            unique, index = tf.unique(values)
            columns[name] = LabelColumn(unique.numpy().tolist(), index.numpy().astype(np.int64))
        elif values.dtype == tf.string:
            columns[name] = tf.io.decode_raw(values, tf.uint8).numpy()
        else:
            columns[name] = values.numpy()
    return columns
