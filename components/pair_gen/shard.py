"""Build the three tables of a shard from its rows and their slots."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.common.row_runs import run_starts
from diptych.components.pair_gen.given_pairs import list_unique_examples, sample_pair_triplets
from diptych.components.pair_gen.hashing import I64, ids_to_words
from diptych.components.pair_gen.layout import Slots
from diptych.components.pair_gen.plan import Plan
from diptych.components.pair_gen.rows import row_schema, to_int64
from diptych.components.pair_gen.sample_pairs import ShardRows, sample_pairs
from diptych.components.pair_gen.sorting import argsort_columns
from diptych.schemas import input_spec as names
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.shards import (
    ID_BYTES,
    PAIRS_SCHEMA,
    TRIPLETS_SCHEMA,
    examples_schema,
    fixed_binary_to_numpy,
)

_SLOT_FIELDS = [
    pa.field("batch", pa.int32()),
    pa.field("chunk", pa.int32()),
    pa.field("index", pa.int32()),
    pa.field("padding", pa.bool_()),
]
_METADATA_FIELDS = [
    pa.field("class_index", pa.int32()),
    pa.field("row_number", pa.int64()),
    pa.field("repeats", pa.int32()),
]


@dataclasses.dataclass(frozen=True)
class ShardTables:
    """Contents of the three files of a shard, and their usage of the data.

    Attributes:
      examples, pairs, triplets: Contents of the files.
      num_batches: Number of batches in them.
      class_index: Class of each row of ``examples``; 0 for given pairs.
      covered: Sorted numbers of the examples (or given pairs) that are in a pair.
      repeats: Maximum number of slots of an example (or given pair) in a round.
    """

    examples: pa.RecordBatch
    pairs: pa.Table
    triplets: pa.Table
    num_batches: int
    class_index: I64
    covered: I64
    repeats: int


@dataclasses.dataclass(frozen=True)
class RowMetadata:
    """Properties of a row besides its content and its slots; one entry per row.

    Attributes:
      class_index: Index of the class.
      row_number: Index among all rows of the split, ordered by class and rank.
      repeats: Maximum number of slots in a round.
    """

    class_index: I64
    row_number: I64
    repeats: I64


def routed_schema(inputs: InputSpec) -> pa.Schema:
    """Return the columns of rows that are routed to a shard: content, metadata and slots."""
    fields = [field for field in row_schema(inputs) if field.name not in ("key", "hash")]
    return pa.schema(
        [*fields, *_METADATA_FIELDS, pa.field("slots", pa.list_(pa.struct(_SLOT_FIELDS)))]
    )


def route_rows(
    rows: pa.RecordBatch,
    order: I64,
    metadata: RowMetadata,
    slots: Slots,
    num_shards: int,
    inputs: InputSpec,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Group rows by shard. Each row occurs once per shard, with all its slots there.

    Args:
      rows: Rows of a partition.
      order: (n,) indices of the rows to route.
      metadata, slots: Those of the rows in ``order``.
      num_shards, inputs: Settings of the run.

    Yields:
      Shard and rows.
    """
    schema = routed_schema(inputs)
    rows = rows.select(schema.names[: -len(_METADATA_FIELDS) - 1])
    metadata_columns = [
        getattr(metadata, field.name).astype(field.type.to_pandas_dtype())
        for field in _METADATA_FIELDS
    ]
    shards = slots.batch % num_shards
    by_row = argsort_columns(shards, slots.row)
    row, shard = slots.row[by_row], shards[by_row]
    starts = run_starts(row, shard)
    offsets = np.append(starts, by_row.size)
    fields = [
        pa.array(getattr(slots, field.name)[by_row].astype(field.type.to_pandas_dtype()))
        for field in _SLOT_FIELDS
    ]
    values = pa.StructArray.from_arrays(fields, fields=_SLOT_FIELDS)
    cuts = np.searchsorted(shard[starts], np.arange(num_shards + 1))
    for target in np.flatnonzero(np.diff(cuts)):
        low, high = int(cuts[target]), int(cuts[target + 1])
        chosen = row[starts[low:high]]
        begin, end = int(offsets[low]), int(offsets[high])
        lists = pa.ListArray.from_arrays(
            pa.array((offsets[low : high + 1] - begin).astype(np.int32)),
            values.slice(begin, end - begin),
        )
        taken = rows.take(pa.array(order[chosen]))
        columns = [*taken.columns, *(pa.array(part[chosen]) for part in metadata_columns), lists]
        yield int(target), pa.RecordBatch.from_arrays(columns, schema=schema)


def make_shard_tables(
    routed: pa.RecordBatch, plan: Plan, settings: PairsConfig, inputs: InputSpec
) -> ShardTables:
    """Sort the rows of a shard by slot and sample the pairs.

    Args:
      routed: Rows in any order, with the columns of ``routed_schema``.
      plan, settings, inputs: Those of the split.
    """
    lists = routed.column("slots")
    lengths = np.diff(to_int64(lists.offsets))
    row = np.repeat(np.arange(routed.num_rows), lengths)
    values = lists.flatten()
    batch, chunk, index = (to_int64(values.field(name)) for name in ("batch", "chunk", "index"))
    padding = values.field("padding").to_numpy(zero_copy_only=False).astype(bool)
    class_index = to_int64(routed.column("class_index"))[row]
    sort_columns = (
        (batch, chunk, class_index, index) if inputs.paired else (batch, class_index, chunk, index)
    )
    order = argsort_columns(*sort_columns)
    row, batch, chunk, class_index = row[order], batch[order], chunk[order], class_index[order]
    make = _make_given_pair_tables if inputs.paired else _make_labelled_tables
    return make(routed, row, batch, class_index, (chunk, padding[order]), (plan, settings, inputs))


def _make_labelled_tables(
    routed: pa.RecordBatch,
    row: I64,
    batch: I64,
    class_index: I64,
    position: tuple[I64, npt.NDArray[np.bool_]],
    context: tuple[Plan, PairsConfig, InputSpec],
) -> ShardTables:
    plan, settings, inputs = context
    chunk, padding = position
    ids = ids_to_words(fixed_binary_to_numpy(routed.column(names.ID), ID_BYTES))[row]
    negatives = settings.negatives_per_positive
    ratio = (negatives.denominator, negatives.numerator)
    pairs, triplets = sample_pairs(
        ShardRows(batch, class_index, chunk, padding, ids), ratio, settings.seed
    )
    weights = plan.weights[class_index]
    taken = pa.array(row)
    columns = [routed.column(name).take(taken) for name in (names.ID, names.LABEL, names.CLASS)]
    usage = [pa.array(weights.astype(np.float32)), routed.column("repeats").take(taken)]
    return ShardTables(
        _make_examples_batch(batch, [*columns, *usage, routed.column(names.X).take(taken)], inputs),
        _make_shard_table(
            PAIRS_SCHEMA,
            *(batch[pairs.left], pairs.left, pairs.right, pairs.same),
            (weights[pairs.left] + weights[pairs.right]) / 2,
        ),
        _make_shard_table(
            TRIPLETS_SCHEMA,
            *(batch[triplets.anchor], triplets.anchor, triplets.positive, triplets.negative),
            weights[triplets.anchor],
        ),
        _count_batches(batch),
        class_index,
        _covered_row_numbers(routed, row[np.concatenate([pairs.left, pairs.right])]),
        _max_repeats(routed),
    )


def _make_given_pair_tables(
    routed: pa.RecordBatch,
    row: I64,
    batch: I64,
    class_index: I64,
    position: tuple[I64, npt.NDArray[np.bool_]],
    context: tuple[Plan, PairsConfig, InputSpec],
) -> ShardTables:
    del position
    plan, settings, inputs = context
    left_ids, right_ids = (
        ids_to_words(fixed_binary_to_numpy(routed.column(name), ID_BYTES))[row]
        for name in (names.LEFT_ID, names.RIGHT_ID)
    )
    rows = list_unique_examples(batch, left_ids, right_ids)
    same = class_index == 1
    anchor, positive, negative, pair = sample_pair_triplets(rows, same, settings.seed)
    # Sources index all left examples of the routed pairs, followed by all right examples.
    sides = np.concatenate([row, row + routed.num_rows])
    taken = pa.array(sides[rows.source])
    columns = [
        pa.concat_arrays([routed.column(left), routed.column(right)]).take(taken)
        for left, right in ((names.LEFT_ID, names.RIGHT_ID), (names.LEFT, names.RIGHT))
    ]
    count = rows.batch.size
    label, vocabulary_index = pa.array([b""] * count, pa.binary()), pa.array(np.full(count, -1))
    repeats = pa.concat_arrays([routed.column("repeats")] * 2).take(taken)
    usage = [pa.array(np.ones(count, np.float32)), repeats]
    weights = plan.weights[class_index]
    order = argsort_columns(batch, rows.left, rows.right)
    return ShardTables(
        _make_examples_batch(
            rows.batch, [columns[0], label, vocabulary_index, *usage, columns[1]], inputs
        ),
        _make_shard_table(
            PAIRS_SCHEMA,
            *(part[order] for part in (batch, rows.left, rows.right, same, weights)),
        ),
        _make_shard_table(
            TRIPLETS_SCHEMA, rows.batch[anchor], anchor, positive, negative, weights[pair]
        ),
        _count_batches(batch),
        np.zeros(count, np.int64),
        _covered_row_numbers(routed, row),
        _max_repeats(routed),
    )


def _covered_row_numbers(routed: pa.RecordBatch, used: I64) -> I64:
    covered = np.zeros(routed.num_rows, bool)
    covered[used] = True
    return np.sort(to_int64(routed.column("row_number"))[covered])


def _max_repeats(routed: pa.RecordBatch) -> int:
    return int(to_int64(routed.column("repeats")).max(initial=0))


def _make_examples_batch(batch: I64, columns: list[pa.Array], inputs: InputSpec) -> pa.RecordBatch:
    schema = examples_schema(inputs.shape.arrow_type)
    batches = pa.array(batch.astype(np.int32))
    return pa.RecordBatch.from_arrays([batches, *columns], schema=schema)


def _make_shard_table(schema: pa.Schema, *columns: npt.NDArray[np.generic]) -> pa.Table:
    arrays = [
        pa.array(column.astype(field.type.to_pandas_dtype()))
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _count_batches(batch: I64) -> int:
    return run_starts(batch).size
