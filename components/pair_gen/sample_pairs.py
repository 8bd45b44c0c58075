"""Pairs and triplets of whole batches, from the rows of a shard in their order.

Same pairs are two rows of one chunk, unless both fill it up (such a pair is drawn in the first
chunk of the pass already). Different pairs are rows of different classes, neither of them
fill. So no pair comes twice in one pass of its classes. A batch with a ratio of a:b gives a * m
same pairs and b * m different ones, with the largest m that it can.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.hashing import I64, U64, hash_of
from diptych.components.pair_gen.negative_pairs import Batches, different_pairs
from diptych.components.pair_gen.sorting import order_by

_KEEP, _TURN = 21, 22  # what a key is for
_ROWS_AT_ONCE = 2**16  # rows drawn from together; bounds the memory, changes nothing


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of a shard, sorted by (batch, class, chunk, index in the chunk).

    Attributes:
      batch, classes, chunk: see ``layout.Places``.
      fill: whether the row is in the pass already.
      ids: (n, 2) of the examples; two rows with one id are never a same pair.
    """

    batch: I64
    classes: I64
    chunk: I64
    fill: npt.NDArray[np.bool_]
    ids: U64


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Rows of pairs, sorted by (batch, left, right)."""

    left: I64
    right: I64
    same: npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Triplets:
    """Rows of triplets, in the order of the same pairs that they come from."""

    anchor: I64
    positive: I64
    negative: I64


def draw(rows: Rows, ratio: tuple[int, int], seed: int) -> tuple[Pairs, Triplets]:
    """Draws the pairs of every batch, and a triplet for each same pair.

    Depends on a batch's number and its rows alone, so shards may be cut anyhow.

    Args:
      rows: whole batches.
      ratio: same and different pairs, such as (1, 1).
      seed: of the keys.

    Returns:
      Pairs and triplets, as row numbers into ``rows``. A batch of one class has neither.
    """
    starts = np.flatnonzero(_changes(rows.batch))
    ends = np.append(starts[1:], rows.batch.size)
    pairs: list[tuple[I64, ...]] = []
    triplets: list[tuple[I64, ...]] = []
    sames: list[npt.NDArray[np.bool_]] = []
    begin = 0
    while begin < starts.size:
        stop = int(np.searchsorted(ends, starts[begin] + _ROWS_AT_ONCE, side="right"))
        stop = max(stop, begin + 1)
        cut = slice(int(starts[begin]), int(ends[stop - 1]))
        part = Rows(*(getattr(rows, field.name)[cut] for field in dataclasses.fields(rows)))
        drawn, anchored = _draw_some(part, ratio, seed)
        pairs.append((drawn.left + cut.start, drawn.right + cut.start))
        sames.append(drawn.same)
        sides = (anchored.anchor, anchored.positive, anchored.negative)
        triplets.append(tuple(side + cut.start for side in sides))
        begin = stop
    left, right = (_together([part[side] for part in pairs]) for side in (0, 1))
    anchor, positive, negative = (
        _together([part[side] for part in triplets]) for side in (0, 1, 2)
    )
    return Pairs(left, right, _together(sames).astype(bool)), Triplets(anchor, positive, negative)


def _draw_some(rows: Rows, ratio: tuple[int, int], seed: int) -> tuple[Pairs, Triplets]:
    new_batch = _changes(rows.batch)
    local = new_batch.cumsum() - 1  # index of each row's batch
    starts = np.flatnonzero(new_batch)
    number = rows.batch[starts]
    first, second = _same_candidates(rows, local)
    available_same = np.bincount(local[first], minlength=starts.size)
    available_different = _count_different(rows, local, starts.size)
    times = np.minimum(available_same // ratio[0], available_different // ratio[1])
    keep = _keep_evenly(rows, local, number, (first, second), times * ratio[0], seed)
    first, second = first[keep], second[keep]
    third, fourth = _different(rows, local, number, times * ratio[1], seed)

    left, right = np.concatenate([first, third]), np.concatenate([second, fourth])
    same = np.arange(left.size) < first.size
    left, right = np.minimum(left, right), np.maximum(left, right)
    turns = _pair_keys(_TURN, number, local, left, right, seed)
    left, right = _turned(left, right, turns, bit=0)
    order = order_by(local[left], left, right)
    pairs = Pairs(left[order], right[order], same[order])
    return pairs, _triplets(rows, local, starts, pairs, turns[order])


def _same_candidates(rows: Rows, local: I64) -> tuple[I64, I64]:
    """All pairs of rows in a chunk that may be drawn."""
    new = _changes(local) | _changes(rows.classes) | _changes(rows.chunk)
    place = np.arange(local.size)
    nth = place - np.maximum.accumulate(np.where(new, place, 0))
    # Each row with all rows of its chunk that come before it.
    second = np.repeat(place, nth)
    first = second - 1 - (np.arange(second.size) - np.repeat(nth.cumsum() - nth, nth))
    kept = ~(rows.fill[first] & rows.fill[second])
    kept &= (rows.ids[first] != rows.ids[second]).any(axis=1)
    return first[kept], second[kept]


def _count_different(rows: Rows, local: I64, num_batches: int) -> I64:
    """Pairs of rows of different classes, without fills, in each batch."""
    group = (_changes(local) | _changes(rows.classes)).cumsum() - 1
    sizes = np.bincount(group[~rows.fill], minlength=group.size and int(group[-1]) + 1)
    batch_of = np.zeros(sizes.size, np.int64)
    batch_of[group] = local
    total = np.bincount(local[~rows.fill], minlength=num_batches)
    squares = np.zeros(num_batches, np.int64)
    np.add.at(squares, batch_of, sizes**2)
    return (total**2 - squares) // 2


def _keep_evenly(
    rows: Rows, local: I64, number: I64, pairs: tuple[I64, I64], needed: I64, seed: int
) -> npt.NDArray[np.bool_]:
    """Which same pairs to keep: as many as are needed in each batch, evenly of its classes."""
    first, second = pairs
    available = np.bincount(local[first], minlength=needed.size)
    keep = (available <= needed)[local[first]]
    some = np.flatnonzero(~keep)
    batch, kind = local[first[some]], rows.classes[first[some]]
    keys = _pair_keys(_KEEP, number, local, first[some], second[some], seed)
    order = order_by(batch, kind, keys)
    nth = _nth_of_run(batch[order], kind[order])
    order = order[order_by(batch[order], nth, keys[order])]
    keep[some[order]] = _nth_of_run(batch[order]) < needed[batch[order]]
    return keep


def _different(rows: Rows, local: I64, number: I64, needed: I64, seed: int) -> tuple[I64, I64]:
    usable = np.flatnonzero(~rows.fill & (needed > 0)[local])
    counts = np.bincount(local[usable], minlength=needed.size)
    starts = counts.cumsum() - counts
    lefts, rights = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for size in np.unique(counts[counts > 0]):
        chosen = np.flatnonzero(counts == size)
        members = usable[starts[chosen, None] + np.arange(size)]
        some = Batches(number[chosen], rows.classes[members], needed[chosen])
        batch, left, right = different_pairs(some, seed)
        lefts.append(members[batch, left])
        rights.append(members[batch, right])
    return np.concatenate(lefts), np.concatenate(rights)


def _triplets(rows: Rows, local: I64, starts: I64, pairs: Pairs, turns: U64) -> Triplets:
    """Each same pair with a row of another class of its batch, all alike by key."""
    turns = turns[pairs.same]
    anchor, positive = _turned(pairs.left[pairs.same], pairs.right[pairs.same], turns, bit=1)
    # The rows of a class lie together, so those of the others are two ranges.
    new_class = _changes(local) | _changes(rows.classes)
    class_starts = np.flatnonzero(new_class)
    class_sizes = np.diff(np.append(class_starts, local.size))
    group = (new_class.cumsum() - 1)[anchor]
    sizes = np.diff(np.append(starts, local.size))[local[anchor]]
    others = (sizes - class_sizes[group]).astype(np.uint64)
    draws = (turns >> np.uint64(2)) % np.maximum(others, 1)
    negative = starts[local[anchor]] + draws.astype(np.int64)
    negative += np.where(negative >= class_starts[group], class_sizes[group], 0)
    return Triplets(anchor, positive, negative)


def _pair_keys(purpose: int, number: I64, local: I64, left: I64, right: I64, seed: int) -> U64:
    """A key of each pair, from its batch's number and its rows' within the batch.

    Row numbers in the shard would depend on what other batches it holds.
    """
    batch = hash_of(seed, purpose, number)[local[left]]
    starts = np.flatnonzero(_changes(local))[local[left]]
    return hash_of(batch, (left - starts) << np.int64(32) | (right - starts))


def _turned(
    left: I64, right: I64, turns: U64, bit: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Left and right rows, exchanged where a bit of the key is set."""
    turned = (turns >> np.uint64(bit)) & np.uint64(1) == 1
    return np.where(turned, right, left), np.where(turned, left, right)


def _changes(values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Where a value differs from the one before, true for the first."""
    changes = np.ones(values.size, bool)
    changes[1:] = values[1:] != values[:-1]
    return changes


def _nth_of_run(*columns: I64) -> I64:
    new = np.logical_or.reduce([_changes(column) for column in columns])
    place = np.arange(new.size)
    return place - np.maximum.accumulate(np.where(new, place, 0))


def _together(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
