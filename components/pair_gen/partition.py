"""What is done with the rows of one batch or one partition: count, deal, rank, place."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.pair_gen.hashing import I64, U64, id_words
from diptych.components.pair_gen.layout import Layout, Places
from diptych.components.pair_gen.plan import Plan
from diptych.components.pair_gen.rows import bytes_of, joined, row_schema, sort_order
from diptych.components.pair_gen.shard import Own, placed_rows
from diptych.components.pair_gen.sorting import order_by
from diptych.schemas.input_spec import LEFT_ID, RIGHT_ID, Inputs

_PLACES_AT_ONCE = 2**19  # bounds the memory, changes nothing

Counts = tuple[U64, I64]  # keys, sorted, and a count for each


def count_keys(rows: pa.RecordBatch) -> Counts:
    """Rows of each class."""
    keys, counts = np.unique(rows.column("key").to_numpy(), return_counts=True)
    return keys, counts.astype(np.int64)


def sum_counts(parts: Iterable[Counts]) -> Counts:
    """Adds up the counts of each key."""
    nothing = (np.zeros(0, np.uint64), np.zeros(0, np.int64))
    every, amounts = (np.concatenate(column) for column in zip(nothing, *parts, strict=True))
    keys, place = np.unique(every, return_inverse=True)
    sums = np.zeros(keys.size, np.int64)
    np.add.at(sums, place, amounts)
    return keys, sums


def deal(rows: pa.RecordBatch, plan: Plan) -> list[tuple[int, pa.RecordBatch]]:
    """Rows by partition."""
    classes = plan.classes_of(rows.column("key").to_numpy())
    partitions = plan.partitions_of(classes, rows.column("hash").to_numpy())
    order = order_by(partitions)
    rows, partitions = rows.take(pa.array(order)), partitions[order]
    numbers, starts = np.unique(partitions, return_index=True)
    ends = np.append(starts[1:], partitions.size)
    return [
        (int(number), rows.slice(int(start), int(end - start)))
        for number, start, end in zip(numbers, starts, ends, strict=True)
    ]


def place_partition(
    dealt: tuple[int, Iterable[pa.RecordBatch]],
    plan: Plan,
    partition_sizes: Counts,
    inputs: Inputs,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Ranks the rows of a partition and gives each its places, by shard.

    Memory: the rows, and what belongs to ``_PLACES_AT_ONCE`` places.

    Args:
      dealt: number of the partition, and its rows in any order.
      plan: of the split.
      partition_sizes: rows of each partition.
      inputs: of the run.
    """
    partition, batches = dealt
    rows = joined(batches, row_schema(inputs))
    classes = plan.classes_of(rows.column("key").to_numpy())
    order = sort_order(rows, classes)
    classes = classes[order]
    sizes = np.zeros(plan.partitions.total, np.int64)
    sizes[partition_sizes[0].astype(np.int64)] = partition_sizes[1]
    first = np.searchsorted(classes, classes)
    ranks = np.arange(classes.size) - first + plan.first_ranks(partition, sizes)[classes]
    numbers = (plan.counts.cumsum() - plan.counts)[classes] + ranks
    step = max(_PLACES_AT_ONCE // plan.most_places, 1)
    for start in range(0, classes.size, step):
        block = slice(start, start + step)
        places = plan.places_of(classes[block], ranks[block])
        own = Own(classes[block], numbers[block], _most_in_round(places, plan.chunks))
        yield from placed_rows(rows, order[block], own, places, plan.num_shards, inputs)


def _most_in_round(places: Places, chunks: Layout) -> I64:
    """The most places of each row in any round."""
    number = places.batch // max(chunks.segments.num_batches, 1)
    amounts = np.bincount(places.row * chunks.rounds + number)
    amounts.resize(-(-amounts.size // chunks.rounds) * chunks.rounds)
    most: I64 = amounts.reshape(-1, chunks.rounds).max(axis=1)
    return most


def example_ids(rows: pa.RecordBatch) -> list[tuple[int, U64]]:
    """Ids of both sides of pairs, (n, 2) and distinct, by their first byte."""
    ids = np.concatenate([id_words(bytes_of(rows.column(name))) for name in (LEFT_ID, RIGHT_ID)])
    ids = np.unique(ids, axis=0)
    prefixes: npt.NDArray[np.uint64] = ids[:, 0] >> np.uint64(56)
    return [(int(prefix), ids[prefixes == prefix]) for prefix in np.unique(prefixes)]


def count_distinct(group: tuple[int, Iterable[U64]]) -> int:
    """How many different ids there are with a first byte."""
    return int(np.unique(np.concatenate(list(group[1])), axis=0).shape[0])
