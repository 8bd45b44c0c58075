"""Read TFRecord files of tf.Examples with a label, and an encoded image or a vector."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.common import cell_values as values
from diptych.components.common import row_parsing
from diptych.components.common.table_rows import TableRows
from diptych.components.example_gen import tables
from diptych.components.example_gen.example_batch import ExampleBatch, bytes_feature, compute_ids
from diptych.components.example_gen.given_splits import select_split_keys
from diptych.components.example_gen.images import (
    build_image_batch,
    image_limits,
    prepare_image_column,
)
from diptych.components.example_gen.row_roles import parse_row_roles, role_columns
from diptych.schemas.config.data import TFRecords
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import ID, LABEL, SOURCE, InputSpec

_MAX_RECORDS, _MAX_BYTES = 1024, 16 << 20  # per batch


def read_tfrecords(
    root: Path, name: str, data: TFRecords, inputs: InputSpec, split: SplitConfig
) -> Iterator[ExampleBatch]:
    """Read a TFRecord file, gzipped or not.

    Raises:
      DataError: If the file is damaged or truncated. The records after the damage cannot be
        located.
    """
    for first, records in read_records(root / name):
        for number, decoded, broken in decode_examples(records, first):
            rejected = [(f"{name}:{number}", "not a tf.Example")] if broken else []
            rows = _empty_rows() if decoded is None else decoded
            yield _to_example_batch(name, rows, data, inputs, split, rejected)


def read_records(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Read records in lists, each with the number of its first record, counted from 1.

    Raises:
      DataError: If the file is damaged or truncated.
    """
    import tensorflow as tf

    with path.open("rb") as file:
        compression = "GZIP" if file.read(2) == b"\x1f\x8b" else ""
    records: list[bytes] = []
    first, size = 1, 0
    iterator = tf.data.TFRecordDataset(
        str(path), compression, buffer_size=1 << 20
    ).as_numpy_iterator()
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
        if len(records) == _MAX_RECORDS or size >= _MAX_BYTES:
            yield first, records
            first, records, size = first + len(records), [], 0
    if records:
        yield first, records


def decode_examples(
    records: Sequence[bytes], first: int
) -> Iterator[tuple[int, TableRows | None, bool]]:
    """Decode records to rows. If a record fails, decode both halves separately.

    Yields:
      Number of the first record, the rows or None, and whether the (single) record is broken.
    """
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    try:
        batch = ExamplesToRecordBatchDecoder().DecodeBatch(list(records))
    except RuntimeError:
        # A record is broken, or two records have different types for the same feature.
        if len(records) == 1:
            yield first, None, True
            return
        half = len(records) // 2
        yield from decode_examples(records[:half], first)
        yield from decode_examples(records[half:], first + half)
        return
    yield first, TableRows(batch, np.arange(first, first + len(records)), ()), False


def single_values(batch: pa.RecordBatch, feature: str) -> pa.Array:
    """Return the (n,) values of a feature; null if it is missing or has several values."""
    if feature not in batch.schema.names or not values.is_list(batch.column(feature).type):
        return pa.nulls(batch.num_rows, pa.string())
    lists = batch.column(feature)
    is_single = pc.equal(pc.list_value_length(lists), 1).fill_null(False)
    flat = pc.list_flatten(lists.filter(is_single))
    indices = np.full(batch.num_rows, -1)
    indices[is_single.to_numpy(zero_copy_only=False)] = np.arange(len(flat))
    return flat.take(pa.array(indices, mask=indices < 0))


def _empty_rows() -> TableRows:
    return TableRows(pa.record_batch({"": pa.nulls(0)}), np.empty(0, np.int64), ())


def _to_example_batch(
    name: str,
    rows: TableRows,
    data: TFRecords,
    inputs: InputSpec,
    split: SplitConfig,
    rejected: list[tuple[str, str]],
) -> ExampleBatch:
    names = [data.label, *role_columns(data)]
    text = TableRows(
        pa.record_batch({feature: single_values(rows.batch, feature) for feature in names}),
        rows.row_numbers,
        (),
    )
    reasons = row_parsing.no_rejections(text)
    label = row_parsing.parse_text_column(text, data.label, reasons)
    row_roles = parse_row_roles(text, name, data, split, reasons)
    if data.image is not None:
        cells = single_values(rows.batch, data.image)
        images = (
            cells.cast(pa.binary()).to_pylist()
            if values.is_text(cells.type)
            else [None] * len(cells)
        )
        missing = f"feature {data.image!r} does not have exactly one value"
        prepared = prepare_image_column(images, reasons, image_limits(data), missing)
    else:
        present = inputs.columns[0].name in rows.batch.schema.names
        if present and values.is_list(rows.batch.column(inputs.columns[0].name).type):
            vector = row_parsing.parse_vector_columns(rows, inputs.columns, reasons)
        else:
            reasons[[reason is None for reason in reasons]] = values.describe_problem(
                inputs.columns[0].name, values.MISSING
            )
            vector = np.empty((len(reasons), inputs.shape.shape[0]), np.float32)
    usable, sources, rejected_rows = row_parsing.split_rejected(name, rows, reasons)
    labels = row_parsing.encode_text(label, usable)
    roles = row_roles.select(usable)
    split_keys = select_split_keys(split, labels, roles.groups)
    if data.image is not None:
        source_by_row = dict(zip(np.flatnonzero(usable).tolist(), sources, strict=True))
        findings = [(source_by_row[row], text) for row, text in prepared.findings]
        batch = build_image_batch(
            prepared.encoded,
            prepared.ids if roles.ids is None else roles.ids,
            labels,
            sources,
            rejected + rejected_rows,
            findings,
            split_keys,
            roles.given_splits,
            prepared.fingerprints.build(),
        )
        return dataclasses.replace(batch, times=roles.times)
    ids = compute_ids(vector[usable]) if roles.ids is None else roles.ids
    features = {
        **tables.vector_features(vector[usable], inputs.columns),
        LABEL: bytes_feature(labels),
        ID: bytes_feature(ids),
        SOURCE: bytes_feature(sources),
    }
    if split_keys is None:
        split_keys = [i.encode() for i in ids]
    return ExampleBatch(
        pa.record_batch(features),
        split_keys,
        rejected + rejected_rows,
        given_splits=roles.given_splits,
        times=roles.times,
    )
