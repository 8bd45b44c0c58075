"""Sample the pairs and triplets of complete batches, from the rows of a shard in their order.

A positive pair is two rows of one chunk, unless both are padding: the first chunk of the pass
already contains that pair. A negative pair is two rows of different classes, neither of them
padding. No pair therefore occurs twice in one pass over its classes. With a ratio of a:b, a batch
has a * m positive and b * m negative pairs, for the largest possible m.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from diptych.components.common.row_runs import mark_run_starts, run_starts
from diptych.components.pair_gen.hashing import I64, U64, hash_integers
from diptych.components.pair_gen.negative_pairs import BatchGroup, sample_negative_pairs
from diptych.components.pair_gen.sorting import argsort_columns

_KEEP, _SWAP = 21, 22  # purposes of the hashed keys
_ROWS_PER_BLOCK = 2**16  # rows sampled together; bounds the memory, does not affect the result


@dataclasses.dataclass(frozen=True)
class ShardRows:
    """Rows of a shard, sorted by (batch, class, chunk, index in the chunk).

    Attributes:
      batch, classes, chunk: See ``layout.Slots``.
      padding: Whether the pass already contains the row.
      ids: (n, 2) ids of the examples. Two rows with the same id never form a positive pair.
    """

    batch: I64
    classes: I64
    chunk: I64
    padding: npt.NDArray[np.bool_]
    ids: U64


@dataclasses.dataclass(frozen=True)
class SampledPairs:
    """Row numbers of pairs, sorted by (batch, left, right)."""

    left: I64
    right: I64
    same: npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class SampledTriplets:
    """Row numbers of triplets, in the order of the positive pairs that they extend."""

    anchor: I64
    positive: I64
    negative: I64


def sample_pairs(
    rows: ShardRows, ratio: tuple[int, int], seed: int
) -> tuple[SampledPairs, SampledTriplets]:
    """Sample the pairs of every batch, and a triplet for each positive pair.

    The result depends only on the number and the rows of a batch, so it is the same for any
    division into shards.

    Args:
      rows: Rows of complete batches.
      ratio: Positive and negative pairs, such as (1, 1).
      seed: Seed of the hashed keys.

    Returns:
      Pairs and triplets, as row numbers into ``rows``. A batch with a single class has neither.
    """
    starts = run_starts(rows.batch)
    ends = np.append(starts[1:], rows.batch.size)
    pairs: list[tuple[I64, ...]] = []
    triplets: list[tuple[I64, ...]] = []
    same: list[npt.NDArray[np.bool_]] = []
    begin = 0
    while begin < starts.size:
        stop = int(np.searchsorted(ends, starts[begin] + _ROWS_PER_BLOCK, side="right"))
        stop = max(stop, begin + 1)
        cut = slice(int(starts[begin]), int(ends[stop - 1]))
        part = ShardRows(*(getattr(rows, field.name)[cut] for field in dataclasses.fields(rows)))
        pairs_part, triplets_part = _sample_block(part, ratio, seed)
        pairs.append((pairs_part.left + cut.start, pairs_part.right + cut.start))
        same.append(pairs_part.same)
        sides = (triplets_part.anchor, triplets_part.positive, triplets_part.negative)
        triplets.append(tuple(side + cut.start for side in sides))
        begin = stop
    left, right = (_concat_parts([part[side] for part in pairs]) for side in (0, 1))
    anchor, positive, negative = (
        _concat_parts([part[side] for part in triplets]) for side in (0, 1, 2)
    )
    is_positive = _concat_parts(same).astype(bool)
    return SampledPairs(left, right, is_positive), SampledTriplets(anchor, positive, negative)


def _sample_block(
    rows: ShardRows, ratio: tuple[int, int], seed: int
) -> tuple[SampledPairs, SampledTriplets]:
    """Sample the pairs and triplets of a few batches."""
    new_batch = mark_run_starts(rows.batch)
    batch_index = new_batch.cumsum() - 1  # index of each row's batch
    starts = np.flatnonzero(new_batch)
    batch_numbers = rows.batch[starts]
    first, second = _list_positive_candidates(rows, batch_index)
    num_positives = np.bincount(batch_index[first], minlength=starts.size)
    num_negatives = _count_negative_candidates(rows, batch_index, starts.size)
    multiple = np.minimum(num_positives // ratio[0], num_negatives // ratio[1])
    keep = _select_positives(
        rows, batch_index, batch_numbers, (first, second), multiple * ratio[0], seed
    )
    first, second = first[keep], second[keep]
    neg_left, neg_right = _sample_negatives(
        rows, batch_index, batch_numbers, multiple * ratio[1], seed
    )

    left, right = np.concatenate([first, neg_left]), np.concatenate([second, neg_right])
    same = np.arange(left.size) < first.size
    left, right = np.minimum(left, right), np.maximum(left, right)
    swap_keys = _hash_pairs(_SWAP, batch_numbers, batch_index, left, right, seed)
    left, right = _swap_sides(left, right, swap_keys, bit=0)
    order = argsort_columns(batch_index[left], left, right)
    pairs = SampledPairs(left[order], right[order], same[order])
    return pairs, _sample_triplets(rows, batch_index, starts, pairs, swap_keys[order])


def _list_positive_candidates(rows: ShardRows, batch_index: I64) -> tuple[I64, I64]:
    """List all pairs of rows in a chunk that can be positive pairs."""
    new = mark_run_starts(batch_index, rows.classes, rows.chunk)
    position = np.arange(batch_index.size)
    nth = position - np.maximum.accumulate(np.where(new, position, 0))
    # Pair each row with all preceding rows of its chunk.
    second = np.repeat(position, nth)
    first = second - 1 - (np.arange(second.size) - np.repeat(nth.cumsum() - nth, nth))
    kept = ~(rows.padding[first] & rows.padding[second])
    kept &= (rows.ids[first] != rows.ids[second]).any(axis=1)
    return first[kept], second[kept]


def _count_negative_candidates(rows: ShardRows, batch_index: I64, num_batches: int) -> I64:
    """Count the pairs of rows of different classes in each batch, without padding."""
    group = mark_run_starts(batch_index, rows.classes).cumsum() - 1
    sizes = np.bincount(group[~rows.padding], minlength=group.size and int(group[-1]) + 1)
    batch_of = np.zeros(sizes.size, np.int64)
    batch_of[group] = batch_index
    total = np.bincount(batch_index[~rows.padding], minlength=num_batches)
    squares = np.zeros(num_batches, np.int64)
    np.add.at(squares, batch_of, sizes**2)
    return (total**2 - squares) // 2


def _select_positives(
    rows: ShardRows,
    batch_index: I64,
    batch_numbers: I64,
    pairs: tuple[I64, I64],
    needed: I64,
    seed: int,
) -> npt.NDArray[np.bool_]:
    """Select the required number of positive pairs in each batch, evenly over its classes.

    Returns:
      A mask of the given pairs.
    """
    first, second = pairs
    available = np.bincount(batch_index[first], minlength=needed.size)
    keep = (available <= needed)[batch_index[first]]
    surplus = np.flatnonzero(~keep)
    batch, classes = batch_index[first[surplus]], rows.classes[first[surplus]]
    keys = _hash_pairs(_KEEP, batch_numbers, batch_index, first[surplus], second[surplus], seed)
    order = argsort_columns(batch, classes, keys)
    nth = _index_in_run(batch[order], classes[order])
    order = order[argsort_columns(batch[order], nth, keys[order])]
    keep[surplus[order]] = _index_in_run(batch[order]) < needed[batch[order]]
    return keep


def _sample_negatives(
    rows: ShardRows, batch_index: I64, batch_numbers: I64, needed: I64, seed: int
) -> tuple[I64, I64]:
    """Sample the required number of negative pairs in each batch."""
    usable = np.flatnonzero(~rows.padding & (needed > 0)[batch_index])
    counts = np.bincount(batch_index[usable], minlength=needed.size)
    starts = counts.cumsum() - counts
    lefts, rights = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for size in np.unique(counts[counts > 0]):
        chosen = np.flatnonzero(counts == size)
        members = usable[starts[chosen, None] + np.arange(size)]
        group = BatchGroup(batch_numbers[chosen], rows.classes[members], needed[chosen])
        batch, left, right = sample_negative_pairs(group, seed)
        lefts.append(members[batch, left])
        rights.append(members[batch, right])
    return np.concatenate(lefts), np.concatenate(rights)


def _sample_triplets(
    rows: ShardRows, batch_index: I64, starts: I64, pairs: SampledPairs, swap_keys: U64
) -> SampledTriplets:
    """Extend each positive pair by a row of another class in its batch, uniformly by its key."""
    swap_keys = swap_keys[pairs.same]
    anchor, positive = _swap_sides(
        pairs.left[pairs.same], pairs.right[pairs.same], swap_keys, bit=1
    )
    # The rows of a class are contiguous, so the rows of all other classes form two ranges.
    new_class = mark_run_starts(batch_index, rows.classes)
    class_starts = np.flatnonzero(new_class)
    class_sizes = np.diff(np.append(class_starts, batch_index.size))
    group = (new_class.cumsum() - 1)[anchor]
    sizes = np.diff(np.append(starts, batch_index.size))[batch_index[anchor]]
    num_others = (sizes - class_sizes[group]).astype(np.uint64)
    offsets = (swap_keys >> np.uint64(2)) % np.maximum(num_others, 1)
    negative = starts[batch_index[anchor]] + offsets.astype(np.int64)
    negative += np.where(negative >= class_starts[group], class_sizes[group], 0)
    return SampledTriplets(anchor, positive, negative)


def _hash_pairs(
    purpose: int, batch_numbers: I64, batch_index: I64, left: I64, right: I64, seed: int
) -> U64:
    """Hash each pair, by the number of its batch and the positions of its rows in the batch.

    Row numbers would depend on which other batches the shard contains.
    """
    batch = hash_integers(seed, purpose, batch_numbers)[batch_index[left]]
    starts = run_starts(batch_index)[batch_index[left]]
    return hash_integers(batch, (left - starts) << np.int64(32) | (right - starts))


def _swap_sides(
    left: I64, right: I64, swap_keys: U64, bit: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Swap the left and right rows of pairs whose key has the given bit set."""
    swapped = (swap_keys >> np.uint64(bit)) & np.uint64(1) == 1
    return np.where(swapped, right, left), np.where(swapped, left, right)


def _index_in_run(*columns: I64) -> I64:
    """Return the index of each row within its run of equal rows."""
    new = mark_run_starts(*columns)
    position = np.arange(new.size)
    return position - np.maximum.accumulate(np.where(new, position, 0))


def _concat_parts(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Concatenate arrays; an empty list gives an empty int64 array."""
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
