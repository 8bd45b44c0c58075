"""TFRecord files of tf.Example: a label, and an encoded image or a vector of numbers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.common import cell_values as values
from diptych.components.common import cells
from diptych.components.common.images import find_fault
from diptych.components.common.table_rows import Rows
from diptych.components.example_gen import tables
from diptych.components.example_gen.chunk import Chunk, bytes_feature, content_ids
from diptych.components.example_gen.images import image_chunk
from diptych.schemas.config.data import TFRecords
from diptych.schemas.config.split import Split
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import ID, LABEL, SOURCE, Inputs

_RECORDS, _BYTES = 1024, 16 << 20  # read at a time


def read_tfrecords(
    root: Path, name: str, data: TFRecords, inputs: Inputs, split: Split
) -> Iterator[Chunk]:
    """Reads a TFRecord file, gzipped or not.

    Raises:
      DataError: the file is damaged or cut short: what is behind cannot be found.
    """
    for first, records in read_records(root / name):
        for at, rows, broken in decode_examples(records, first):
            rejected = [(f"{name}:{at}", "not a tf.Example")] if broken else []
            if rows is None:
                yield _chunk(name, _no_rows(), data, inputs, split, rejected)
            else:
                yield _chunk(name, rows, data, inputs, split, rejected)


def read_records(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Records of a file in lists, each with the number of its first record, from 1.

    Raises:
      DataError: the file is damaged or cut short.
    """
    import tensorflow as tf

    with path.open("rb") as file:
        kind = "GZIP" if file.read(2) == b"\x1f\x8b" else ""
    records: list[bytes] = []
    first, size = 1, 0
    iterator = tf.data.TFRecordDataset(str(path), kind, buffer_size=1 << 20).as_numpy_iterator()
    while True:
        try:
            record = next(iterator, None)
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
            raise DataError(
                f"{path} is damaged after record {first + len(records) - 1}. "
                "Write or copy it again."
            ) from error
        if record is None:
            break
        records.append(record)
        size += len(record)
        if len(records) == _RECORDS or size >= _BYTES:
            yield first, records
            first, records, size = first + len(records), [], 0
    if records:
        yield first, records


def decode_examples(
    records: Sequence[bytes], first: int
) -> Iterator[tuple[int, Rows | None, bool]]:
    """Decodes records into rows, in halves where some of them fail.

    Yields:
      Number of the first record, its rows or None, and whether the (single) record is broken.
    """
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    try:
        batch = ExamplesToRecordBatchDecoder().DecodeBatch(list(records))
    except RuntimeError:
        # One record is broken, or two have different types of the same feature.
        if len(records) == 1:
            yield first, None, True
            return
        half = len(records) // 2
        yield from decode_examples(records[:half], first)
        yield from decode_examples(records[half:], first + half)
        return
    yield first, Rows(batch, np.arange(first, first + len(records)), ()), False


def single_values(batch: pa.RecordBatch, feature: str) -> pa.Array:
    """(n,) the value of a feature; null where it has none or several, or is not there."""
    if feature not in batch.schema.names or not values.is_list(batch.column(feature).type):
        return pa.nulls(batch.num_rows, pa.string())
    lists = batch.column(feature)
    one = pc.equal(pc.list_value_length(lists), 1).fill_null(False)
    flat = pc.list_flatten(lists.filter(one))
    places = np.full(batch.num_rows, -1)
    places[one.to_numpy(zero_copy_only=False)] = np.arange(len(flat))
    return flat.take(pa.array(places, mask=places < 0))


def _no_rows() -> Rows:
    return Rows(pa.record_batch({"": pa.nulls(0)}), np.empty(0, np.int64), ())


def _chunk(
    name: str,
    rows: Rows,
    data: TFRecords,
    inputs: Inputs,
    split: Split,
    rejected: list[tuple[str, str]],
) -> Chunk:
    chosen = [data.label, *(feature for feature in (data.id, data.group) if feature)]
    text = Rows(
        pa.record_batch({feature: single_values(rows.batch, feature) for feature in chosen}),
        rows.numbers,
        (),
    )
    reasons = cells.no_reasons(text)
    label = cells.read_text(text, data.label, reasons)
    key = cells.read_text(text, data.id, reasons) if data.id else None
    by_group = split.by == "group" and data.group is not None
    group = cells.read_text(text, str(data.group), reasons) if by_group else None
    if data.image is not None:
        held = single_values(rows.batch, data.image)
        images = (
            held.cast(pa.binary()).to_pylist() if values.is_text(held.type) else [None] * len(held)
        )
        for row, image in enumerate(images):
            if reasons[row] is None:
                reasons[row] = (
                    f"feature {data.image!r} has not one value"
                    if image is None
                    else find_fault(image, data.max_bytes, data.max_pixels)
                )
    else:
        present = inputs.columns[0].name in rows.batch.schema.names
        if present and values.is_list(rows.batch.column(inputs.columns[0].name).type):
            vector = cells.read_vectors(rows, inputs.columns, reasons)
        else:
            reasons[[reason is None for reason in reasons]] = values.reason(
                inputs.columns[0].name, values.MISSING
            )
            vector = np.empty((len(reasons), inputs.shape.shape[0]), np.float32)
    good, sources, faults = cells.sort_out(name, rows, reasons)
    labels = cells.encoded(label, good)
    keys = labels if split.by == "class" else None
    keys = keys if group is None else cells.encoded(group, good)
    ids = None if key is None else content_ids(cells.encoded(key, good))
    if data.image is not None:
        kept = [image for image, usable in zip(images, good, strict=True) if usable]
        return image_chunk(kept, labels, sources, rejected + faults, keys, ids)
    ids = content_ids(vector[good]) if ids is None else ids
    features = {
        **tables.vector_features(vector[good], inputs.columns),
        LABEL: bytes_feature(labels),
        ID: bytes_feature(ids),
        SOURCE: bytes_feature(sources),
    }
    keys = [i.encode() for i in ids] if keys is None else keys
    return Chunk(pa.record_batch(features), keys, rejected + faults)
