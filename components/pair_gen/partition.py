"""Operations on the rows of one record batch or one partition: count, partition, rank, route."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.pair_gen.hashing import I64, U64, ids_to_words
from diptych.components.pair_gen.layout import Layout, Slots
from diptych.components.pair_gen.plan import Plan
from diptych.components.pair_gen.rows import argsort_rows, concat_batches, row_schema
from diptych.components.pair_gen.shard import RowMetadata, route_rows
from diptych.components.pair_gen.sorting import argsort_columns
from diptych.schemas.input_spec import LEFT_ID, RIGHT_ID, InputSpec
from diptych.schemas.shards import ID_BYTES, fixed_binary_to_numpy

_SLOTS_PER_BLOCK = 2**19  # bounds the memory, does not affect the result

KeyCounts = tuple[U64, I64]  # sorted keys and their counts


def count_keys(rows: pa.RecordBatch) -> KeyCounts:
    """Count the rows of each class."""
    keys, counts = np.unique(rows.column("key").to_numpy(), return_counts=True)
    return keys, counts.astype(np.int64)


def sum_counts(parts: Iterable[KeyCounts]) -> KeyCounts:
    """Sum the counts of each key."""
    empty = (np.zeros(0, np.uint64), np.zeros(0, np.int64))
    all_keys, counts = (np.concatenate(column) for column in zip(empty, *parts, strict=True))
    keys, inverse = np.unique(all_keys, return_inverse=True)
    sums = np.zeros(keys.size, np.int64)
    np.add.at(sums, inverse, counts)
    return keys, sums


def partition_rows(rows: pa.RecordBatch, plan: Plan) -> list[tuple[int, pa.RecordBatch]]:
    """Group rows by partition."""
    classes = plan.find_classes(rows.column("key").to_numpy())
    partitions = plan.find_partitions(classes, rows.column("hash").to_numpy())
    order = argsort_columns(partitions)
    rows, partitions = rows.take(pa.array(order)), partitions[order]
    numbers, starts = np.unique(partitions, return_index=True)
    ends = np.append(starts[1:], partitions.size)
    return [
        (int(number), rows.slice(int(start), int(end - start)))
        for number, start, end in zip(numbers, starts, ends, strict=True)
    ]


def assign_partition_slots(
    partitioned: tuple[int, Iterable[pa.RecordBatch]],
    plan: Plan,
    partition_sizes: KeyCounts,
    inputs: InputSpec,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Rank the rows of a partition, assign their slots and group them by shard.

    Memory: the rows, and ``_SLOTS_PER_BLOCK`` slots.

    Args:
      partitioned: Number of the partition, and its rows in any order.
      plan: Plan of the split.
      partition_sizes: Number of rows in each partition.
      inputs: Inputs of the run.

    Yields:
      Shard and rows.
    """
    partition, batches = partitioned
    rows = concat_batches(batches, row_schema(inputs))
    classes = plan.find_classes(rows.column("key").to_numpy())
    order = argsort_rows(rows, classes)
    classes = classes[order]
    sizes = np.zeros(plan.partitions.num_partitions, np.int64)
    sizes[partition_sizes[0].astype(np.int64)] = partition_sizes[1]
    first = np.searchsorted(classes, classes)
    ranks = np.arange(classes.size) - first + plan.first_ranks(partition, sizes)[classes]
    numbers = (plan.counts.cumsum() - plan.counts)[classes] + ranks
    step = max(_SLOTS_PER_BLOCK // plan.max_slots_per_row, 1)
    for start in range(0, classes.size, step):
        block = slice(start, start + step)
        slots = plan.assign_slots(classes[block], ranks[block])
        metadata = RowMetadata(
            classes[block], numbers[block], _max_slots_per_round(slots, plan.chunk_layout)
        )
        yield from route_rows(rows, order[block], metadata, slots, plan.num_shards, inputs)


def _max_slots_per_round(slots: Slots, layout: Layout) -> I64:
    """Return the maximum number of slots of each row in a round."""
    round_index = slots.batch // max(layout.segments.num_batches, 1)
    counts = np.bincount(slots.row * layout.rounds + round_index)
    counts.resize(-(-counts.size // layout.rounds) * layout.rounds)
    most: I64 = counts.reshape(-1, layout.rounds).max(axis=1)
    return most


def group_ids_by_first_byte(rows: pa.RecordBatch) -> list[tuple[int, U64]]:
    """Group the distinct ids, (n, 2), of both sides of pairs by their first byte."""
    ids = np.concatenate(
        [
            ids_to_words(fixed_binary_to_numpy(rows.column(name), ID_BYTES))
            for name in (LEFT_ID, RIGHT_ID)
        ]
    )
    ids = np.unique(ids, axis=0)
    prefixes: npt.NDArray[np.uint64] = ids[:, 0] >> np.uint64(56)
    return [(int(prefix), ids[prefixes == prefix]) for prefix in np.unique(prefixes)]


def count_unique_ids(group: tuple[int, Iterable[U64]]) -> int:
    """Count the distinct ids with a first byte."""
    return int(np.unique(np.concatenate(list(group[1])), axis=0).shape[0])
