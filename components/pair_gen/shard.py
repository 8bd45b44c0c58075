"""The three tables of a shard, from its rows and their places."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.pair_gen.given_pairs import distinct_examples, pair_triplets
from diptych.components.pair_gen.hashing import I64, id_words
from diptych.components.pair_gen.layout import Places
from diptych.components.pair_gen.plan import Plan
from diptych.components.pair_gen.rows import bytes_of, int64_of, row_schema
from diptych.components.pair_gen.sample_pairs import Rows, draw
from diptych.components.pair_gen.sorting import order_by
from diptych.schemas import input_spec as names
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.input_spec import Inputs
from diptych.schemas.shards import PAIRS, TRIPLETS, examples_schema

_PLACES = [
    pa.field("batch", pa.int32()),
    pa.field("chunk", pa.int32()),
    pa.field("index", pa.int32()),
    pa.field("fill", pa.bool_()),
]
_OWN = [
    pa.field("kind", pa.int32()),
    pa.field("number", pa.int64()),
    pa.field("repeats", pa.int32()),
]


@dataclasses.dataclass(frozen=True)
class Tables:
    """Contents of the three files of a shard, and what they make use of.

    Attributes:
      examples, pairs, triplets: the files.
      num_batches: in them.
      kinds: index of the class of each row of ``examples``; 0 for data that came in pairs.
      covered: sorted numbers of the examples (or pairs that came) that are in a pair.
      repeats: most places of an example (or such a pair) in a round.
    """

    examples: pa.RecordBatch
    pairs: pa.Table
    triplets: pa.Table
    num_batches: int
    kinds: I64
    covered: I64
    repeats: int


@dataclasses.dataclass(frozen=True)
class Own:
    """What a row carries along beside its content and its places; one entry a row.

    Attributes:
      kind: index of its class.
      number: among all rows of the split, ordered by class and rank.
      repeats: most places in a round.
    """

    kind: I64
    number: I64
    repeats: I64


def placed_schema(inputs: Inputs) -> pa.Schema:
    """Rows on their way to a shard: what they hold, what they carry along, and their places."""
    fields = [field for field in row_schema(inputs) if field.name not in ("key", "hash")]
    return pa.schema([*fields, *_OWN, pa.field("places", pa.list_(pa.struct(_PLACES)))])


def placed_rows(
    rows: pa.RecordBatch, order: I64, own: Own, places: Places, num_shards: int, inputs: Inputs
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Rows by shard, each row once a shard with all its places there.

    Args:
      rows: of a partition.
      order: (n,) of those that are placed, their indices among the rows.
      own, places: of theirs.
      num_shards, inputs: of the run.
    """
    schema = placed_schema(inputs)
    rows = rows.select(schema.names[: -len(_OWN) - 1])
    carried = [getattr(own, field.name).astype(field.type.to_pandas_dtype()) for field in _OWN]
    shards = places.batch % num_shards
    by_row = order_by(shards, places.row)
    row, shard = places.row[by_row], shards[by_row]
    new = np.ones(by_row.size, bool)
    new[1:] = (row[1:] != row[:-1]) | (shard[1:] != shard[:-1])
    starts = np.flatnonzero(new)
    offsets = np.append(starts, by_row.size)
    fields = [
        pa.array(getattr(places, field.name)[by_row].astype(field.type.to_pandas_dtype()))
        for field in _PLACES
    ]
    values = pa.StructArray.from_arrays(fields, fields=_PLACES)
    cuts = np.searchsorted(shard[starts], np.arange(num_shards + 1))
    for number in np.flatnonzero(np.diff(cuts)):
        low, high = int(cuts[number]), int(cuts[number + 1])
        chosen = row[starts[low:high]]
        begin, end = int(offsets[low]), int(offsets[high])
        lists = pa.ListArray.from_arrays(
            pa.array((offsets[low : high + 1] - begin).astype(np.int32)),
            values.slice(begin, end - begin),
        )
        taken = rows.take(pa.array(order[chosen]))
        columns = [*taken.columns, *(pa.array(part[chosen]) for part in carried), lists]
        yield int(number), pa.RecordBatch.from_arrays(columns, schema=schema)


def make_tables(placed: pa.RecordBatch, plan: Plan, settings: Pairs, inputs: Inputs) -> Tables:
    """Sorts the rows of a shard by their places and draws the pairs.

    Args:
      placed: in any order; columns of ``placed_schema``.
      plan, settings, inputs: of the split.
    """
    lists = placed.column("places")
    lengths = np.diff(int64_of(lists.offsets))
    row = np.repeat(np.arange(placed.num_rows), lengths)
    values = lists.flatten()
    batch, chunk, index = (int64_of(values.field(name)) for name in ("batch", "chunk", "index"))
    fill = values.field("fill").to_numpy(zero_copy_only=False).astype(bool)
    kind = int64_of(placed.column("kind"))[row]
    by_place = (batch, chunk, kind, index) if inputs.paired else (batch, kind, chunk, index)
    order = order_by(*by_place)
    row, batch, chunk, kind = row[order], batch[order], chunk[order], kind[order]
    make = _paired_tables if inputs.paired else _tables
    return make(placed, row, batch, kind, (chunk, fill[order]), (plan, settings, inputs))


def _tables(
    placed: pa.RecordBatch,
    row: I64,
    batch: I64,
    kind: I64,
    place: tuple[I64, npt.NDArray[np.bool_]],
    context: tuple[Plan, Pairs, Inputs],
) -> Tables:
    plan, settings, inputs = context
    chunk, fill = place
    ids = id_words(bytes_of(placed.column(names.ID)))[row]
    different = settings.different_per_same
    ratio = (different.denominator, different.numerator)
    pairs, triplets = draw(Rows(batch, kind, chunk, fill, ids), ratio, settings.seed)
    weights = plan.weights[kind]
    taken = pa.array(row)
    columns = [placed.column(name).take(taken) for name in (names.ID, names.LABEL, names.CLASS)]
    use = [pa.array(weights.astype(np.float32)), placed.column("repeats").take(taken)]
    return Tables(
        _examples(batch, [*columns, *use, placed.column(names.X).take(taken)], inputs),
        _table(
            PAIRS,
            *(batch[pairs.left], pairs.left, pairs.right, pairs.same),
            (weights[pairs.left] + weights[pairs.right]) / 2,
        ),
        _table(
            TRIPLETS,
            *(batch[triplets.anchor], triplets.anchor, triplets.positive, triplets.negative),
            weights[triplets.anchor],
        ),
        _count_runs(batch),
        kind,
        _covered(placed, row[np.concatenate([pairs.left, pairs.right])]),
        _most(placed),
    )


def _paired_tables(
    placed: pa.RecordBatch,
    row: I64,
    batch: I64,
    kind: I64,
    place: tuple[I64, npt.NDArray[np.bool_]],
    context: tuple[Plan, Pairs, Inputs],
) -> Tables:
    del place
    plan, settings, inputs = context
    left_ids, right_ids = (
        id_words(bytes_of(placed.column(name)))[row] for name in (names.LEFT_ID, names.RIGHT_ID)
    )
    rows = distinct_examples(batch, left_ids, right_ids)
    same = kind == 1
    anchor, positive, negative, pair = pair_triplets(rows, same, settings.seed)
    # Sources count all left examples of the pairs placed, then all right ones.
    sides = np.concatenate([row, row + placed.num_rows])
    taken = pa.array(sides[rows.source])
    columns = [
        pa.concat_arrays([placed.column(left), placed.column(right)]).take(taken)
        for left, right in ((names.LEFT_ID, names.RIGHT_ID), (names.LEFT, names.RIGHT))
    ]
    count = rows.batch.size
    label, number = pa.array([b""] * count, pa.binary()), pa.array(np.full(count, -1))
    repeats = pa.concat_arrays([placed.column("repeats")] * 2).take(taken)
    use = [pa.array(np.ones(count, np.float32)), repeats]
    weights = plan.weights[kind]
    order = order_by(batch, rows.left, rows.right)
    return Tables(
        _examples(rows.batch, [columns[0], label, number, *use, columns[1]], inputs),
        _table(
            PAIRS,
            *(part[order] for part in (batch, rows.left, rows.right, same, weights)),
        ),
        _table(TRIPLETS, rows.batch[anchor], anchor, positive, negative, weights[pair]),
        _count_runs(batch),
        np.zeros(count, np.int64),
        _covered(placed, row),
        _most(placed),
    )


def _covered(placed: pa.RecordBatch, used: I64) -> I64:
    covered = np.zeros(placed.num_rows, bool)
    covered[used] = True
    return np.sort(int64_of(placed.column("number"))[covered])


def _most(placed: pa.RecordBatch) -> int:
    return int(int64_of(placed.column("repeats")).max(initial=0))


def _examples(batch: I64, columns: list[pa.Array], inputs: Inputs) -> pa.RecordBatch:
    schema = examples_schema(inputs.shape.arrow_type)
    batches = pa.array(batch.astype(np.int32))
    return pa.RecordBatch.from_arrays([batches, *columns], schema=schema)


def _table(schema: pa.Schema, *columns: npt.NDArray[np.generic]) -> pa.Table:
    arrays = [
        pa.array(column.astype(field.type.to_pandas_dtype()))
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _count_runs(batch: I64) -> int:
    return int((np.diff(batch) != 0).sum()) + bool(batch.size)
