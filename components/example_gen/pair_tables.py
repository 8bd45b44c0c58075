"""Read tables of pairs: left columns, right columns and a same column."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.common import cell_values as values
from diptych.components.common import row_parsing
from diptych.components.common.table_rows import TextSettings, read_table_rows
from diptych.components.example_gen import tables
from diptych.components.example_gen.example_batch import (
    ExampleBatch,
    bytes_feature,
    compute_ids,
    list_feature,
)
from diptych.components.example_gen.given_splits import (
    parse_given_splits,
    select_usable_splits,
    uses_group,
)
from diptych.components.example_gen.times import parse_times
from diptych.schemas.config.data import PairTable
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.input_spec import ID, LEFT_ID, RIGHT_ID, SAME, SOURCE, InputSpec

IDENTICAL_SIDES = "left and right are identical"


def read_pair_table(
    root: Path,
    name: str,
    row_groups: Sequence[int] | None,
    data: PairTable,
    inputs: InputSpec,
    split: SplitConfig,
) -> Iterator[ExampleBatch]:
    """Read a file of pairs; ``row_groups`` of a Parquet file, None for all.

    Pairs of an example with itself are rejected.

    Raises:
      DataError: If a column is missing, or the file is damaged.
    """
    columns = tables.required_columns(data, [data.same], inputs.columns, inputs.right_columns)
    positive = canonical_same_value(data.same_value)
    settings = TextSettings.from_config(data)
    for rows in read_table_rows(root / name, columns, row_groups, settings=settings):
        reasons = row_parsing.no_rejections(rows)
        row_parsing.parse_text_column(rows, data.same, reasons)
        key = row_parsing.parse_text_column(rows, data.id, reasons) if data.id else None
        by_group = data.group is not None and uses_group(split)
        group = row_parsing.parse_text_column(rows, str(data.group), reasons) if by_group else None
        given = parse_given_splits(rows, data.split, split, reasons)
        times = parse_times(rows, data, split, reasons)
        left = row_parsing.parse_vector_columns(rows, inputs.columns, reasons)
        right = row_parsing.parse_vector_columns(rows, inputs.right_columns, reasons)
        # Their distance is 0 for every model: a positive pair has no loss, a negative pair is
        # contradictory.
        row_parsing.reject_rows(reasons, (left == right).all(axis=1), IDENTICAL_SIDES)
        usable, sources, rejected = row_parsing.split_rejected(name, rows, reasons)
        left, right = left[usable], right[usable]
        same = pc.equal(
            values.as_same_text(rows.batch.column(data.same), rows.cells).filter(pa.array(usable)),
            positive,
        )
        left_ids, right_ids = compute_ids(left), compute_ids(right)
        if key is None:
            ids = compute_ids((a + b).encode() for a, b in zip(left_ids, right_ids, strict=True))
        else:
            ids = compute_ids(row_parsing.encode_text(key, usable))
        features = {
            **tables.vector_features(left, inputs.columns),
            **tables.vector_features(right, inputs.right_columns),
            SAME: list_feature(same.cast(pa.int64()), 1),
            ID: bytes_feature(ids),
            LEFT_ID: bytes_feature(left_ids),
            RIGHT_ID: bytes_feature(right_ids),
            SOURCE: bytes_feature(sources),
        }
        split_keys = (
            [i.encode() for i in ids] if group is None else row_parsing.encode_text(group, usable)
        )
        yield ExampleBatch(
            pa.record_batch(features),
            split_keys,
            rejected,
            given_splits=select_usable_splits(given, usable),
            times=None if times is None else times.filter(usable),
        )


def canonical_same_value(same_value: int | str | bool) -> str:
    """Return the canonical text of ``data.same_value``: 1, 1.0, true and True are equal."""
    text = values.as_same_text(pa.array([str(same_value)])).to_pylist()[0]
    return "" if text is None else str(text)
