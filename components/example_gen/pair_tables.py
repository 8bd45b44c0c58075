"""Read tables of pairs: left columns, right columns and a same column."""

from collections.abc import Iterable, Iterator, Sequence
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
from diptych.components.example_gen.given_splits import select_split_keys
from diptych.components.example_gen.row_roles import parse_row_roles
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
        row_roles = parse_row_roles(rows, name, data, split, reasons)
        left = row_parsing.parse_vector_columns(rows, inputs.columns, reasons)
        right = row_parsing.parse_vector_columns(rows, inputs.right_columns, reasons)
        # Their distance is 0 for every model: a positive pair has no loss, a negative pair is
        # contradictory.
        row_parsing.reject_rows(reasons, (left == right).all(axis=1), IDENTICAL_SIDES)
        usable, sources, rejected = row_parsing.split_rejected(name, rows, reasons)
        left, right = left[usable], right[usable]
        roles = row_roles.select(usable)
        same = pc.equal(
            values.as_same_text(rows.batch.column(data.same), rows.cells).filter(pa.array(usable)),
            positive,
        )
        left_ids, right_ids = compute_ids(left), compute_ids(right)
        ids = compute_pair_ids(left_ids, right_ids) if roles.ids is None else roles.ids
        features = {
            **tables.vector_features(left, inputs.columns),
            **tables.vector_features(right, inputs.right_columns),
            SAME: list_feature(same.cast(pa.int64()), 1),
            ID: bytes_feature(ids),
            LEFT_ID: bytes_feature(left_ids),
            RIGHT_ID: bytes_feature(right_ids),
            SOURCE: bytes_feature(sources),
        }
        yield ExampleBatch(
            pa.record_batch(features),
            select_split_keys(split, None, roles.groups) or [i.encode() for i in ids],
            rejected,
            given_splits=roles.given_splits,
            times=roles.times,
        )


def compute_pair_ids(left_ids: Iterable[str], right_ids: Iterable[str]) -> list[str]:
    """Compute the ids of pairs from the ids of both sides."""
    return compute_ids((a + b).encode() for a, b in zip(left_ids, right_ids, strict=True))


def canonical_same_value(same_value: int | str | bool) -> str:
    """Return the canonical text of ``data.same_value``: 1, 1.0, true and True are equal."""
    text = values.as_same_text(pa.array([str(same_value)])).to_pylist()[0]
    return "" if text is None else str(text)
