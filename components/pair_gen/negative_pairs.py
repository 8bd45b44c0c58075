"""Sample the negative pairs of a batch, spread evenly over its rows.

Arrange the R rows of a batch on a circle. *Orbit* d contains the pairs of rows at distance d on the
circle, so a complete orbit contains every row exactly twice (d = R / 2, the half orbit: once). An
orbit is *clean* if all its pairs have different classes:

- Classes of equal size, interleaved (abcabc): every d that is not a multiple of the number of
  classes. Together, these orbits contain all negative pairs.
- Classes of unequal size, as consecutive blocks (aaabbc): every d that is at least the size of the
  largest class.

Complete orbits, chosen by key, use all rows equally. The remainder comes from one partial orbit, in
which every other pair is taken first, so that rows differ by at most one pair (or two, where all
clean orbits are cycles of odd length: an odd R, or an even R with unequal classes). Where the clean
orbits do not suffice, the negative pairs of the other orbits are used as well.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.hashing import I64, U64, hash_integers

_ORBIT, _ROTATION, _CLASS, _ROW = 11, 12, 13, 14  # purposes of the hashed keys
_LAST_KEY = np.uint64(2**64 - 1)
_PAIRS_PER_BLOCK = 2**22  # pairs listed at once, where all pairs of a batch are listed


@dataclasses.dataclass(frozen=True)
class BatchGroup:
    """Batches with the same number of rows R, which are sampled together.

    Attributes:
      batch_numbers: (b,) numbers of the batches in the split.
      classes: (b, R) classes of the rows.
      needed: (b,) negative pairs to sample, at most the number that exists.
    """

    batch_numbers: I64
    classes: I64
    needed: I64


def sample_negative_pairs(batches: BatchGroup, seed: int) -> tuple[I64, I64, I64]:
    """Sample ``needed`` distinct negative pairs in each batch.

    Returns:
      Index of the batch and columns (0 to R - 1) of the two rows; one entry per pair.
    """
    rows = batches.classes.shape[1]
    sizes, num_classes = _count_class_sizes(batches.classes)
    largest = sizes.max(axis=1)
    equal = (sizes == largest[:, None]).all(axis=1)
    clean_capacity = np.maximum((rows - 1) // 2 - largest + 1, 0) * rows
    listed = ~equal & (batches.needed > clean_capacity)
    parts = []
    for chosen, sample, interleaved in (
        (np.flatnonzero(equal), _sample_orbits, True),
        (np.flatnonzero(~equal & ~listed), _sample_orbits, False),
        (np.flatnonzero(listed), _sample_listed_pairs, True),
    ):
        if not chosen.size:
            continue
        subgroup = BatchGroup(
            batches.batch_numbers[chosen], batches.classes[chosen], batches.needed[chosen]
        )
        circle = _order_on_circle(subgroup, sizes[chosen], seed, interleaved)
        step, lowest = num_classes[chosen], largest[chosen]
        batch, first, second = sample(subgroup, seed, circle, step if interleaved else None, lowest)
        parts.append((chosen[batch], circle[batch, first], circle[batch, second]))
    if not parts:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing
    batch, left, right = (np.concatenate(column) for column in zip(*parts, strict=True))
    return batch, left, right


def _count_class_sizes(classes: I64) -> tuple[I64, I64]:
    """Count the rows of each row's class in the batch, and the classes of each batch.

    Returns:
      (b, R) class sizes and (b,) numbers of classes.
    """
    order = np.argsort(classes, axis=1, kind="stable")
    ordered = np.take_along_axis(classes, order, axis=1)
    new = np.ones(classes.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = new.ravel().cumsum() - 1
    sizes = np.empty(classes.shape, np.int64)
    np.put_along_axis(sizes, order, np.bincount(group)[group].reshape(classes.shape), axis=1)
    return sizes, new.sum(axis=1)


def _order_on_circle(batches: BatchGroup, sizes: I64, seed: int, interleaved: bool) -> I64:
    """Order the columns on the circle: classes, and the rows within them, by key."""
    rows = batches.classes.shape[1]
    batch_numbers = batches.batch_numbers[:, None]
    class_key = hash_integers(seed, _CLASS, batch_numbers, batches.classes)
    row_key = hash_integers(seed, _ROW, batch_numbers, np.arange(rows)[None])
    blocks = np.lexsort((row_key, batches.classes, class_key), axis=1)
    if not interleaved:
        return blocks
    # The k-th row of a class with g rows is at (2 k + 1) / 2 g of the circumference.
    ordered = np.take_along_axis(batches.classes, blocks, axis=1)
    new = np.ones(ordered.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    position = np.broadcast_to(np.arange(rows), ordered.shape)
    nth = position - np.maximum.accumulate(np.where(new, position, 0), axis=1)
    angle = (2 * nth + 1) / (2 * np.take_along_axis(sizes, blocks, axis=1))
    return np.take_along_axis(blocks, np.argsort(angle, axis=1, kind="stable"), axis=1)


def _sample_orbits(
    batches: BatchGroup, seed: int, circle: I64, step: I64 | None, largest: I64
) -> tuple[I64, I64, I64]:
    """Sample complete clean orbits and one partial orbit; returns positions on the circle."""
    rows = circle.shape[1]
    distances = np.arange(1, (rows - 1) // 2 + 1)
    half = rows // 2 if rows % 2 == 0 else 0
    if step is not None:
        clean = distances[None] % step[:, None] != 0
        half_clean = (half % step != 0) if half else np.zeros(step.size, bool)
    else:
        clean = distances[None] >= largest[:, None]
        half_clean = (half >= largest) if half else np.zeros(largest.size, bool)

    remainder = batches.needed % rows
    use_half = (remainder > 0) & (2 * remainder <= rows) & half_clean
    keys = hash_integers(seed, _ORBIT, batches.batch_numbers[:, None], distances[None])
    keys = np.where(clean, keys >> np.uint64(2), _LAST_KEY)
    # The partial orbit comes first, preferably one with cycles of even length.
    has_partial = (remainder > 0) & ~use_half
    if has_partial.any():
        odd = (rows // np.gcd(distances, rows)) % 2 == 1
        preference = np.where(clean & odd[None], keys | np.uint64(2**62), keys)
        with_partial = np.flatnonzero(has_partial)
        keys[with_partial, np.argmin(preference[with_partial], axis=1)] = 0
    order = np.argsort(keys, axis=1, kind="stable")

    batch = np.repeat(np.arange(remainder.size), batches.needed)
    nth = np.arange(batch.size) - np.repeat(
        batches.needed.cumsum() - batches.needed, batches.needed
    )
    nth_in_full = nth - remainder[batch]
    in_partial = nth_in_full < 0
    orbit = np.maximum(nth_in_full, 0) // rows + has_partial[batch]
    distance = np.full(batch.size, half)
    by_order = np.flatnonzero(~in_partial | ~use_half[batch])
    orbit[in_partial] = 0
    distance[by_order] = distances[order[batch[by_order], orbit[by_order]]]
    first = np.where(in_partial, 0, nth_in_full % rows)
    first[in_partial] = _orbit_position(distance[in_partial], nth[in_partial], rows)
    rotation = hash_integers(seed, _ROTATION, batches.batch_numbers) % np.uint64(max(rows, 1))
    first = (first + rotation.astype(np.int64)[batch]) % rows
    return batch, first, (first + distance) % rows


def _orbit_position(distance: I64, nth: I64, rows: int) -> I64:
    """Return the position q of the nth pair (q, q + d) of an orbit.

    Every other pair of a cycle comes first.
    """
    cycles = np.gcd(distance, rows)
    disjoint = rows // cycles // 2  # pairs of a cycle without a common row
    second_half = nth >= cycles * disjoint
    step_in_cycle = 2 * (nth // cycles - np.where(second_half, disjoint, 0)) + second_half
    # A cycle of odd length has one remaining pair.
    step_in_cycle = np.where(nth >= 2 * cycles * disjoint, rows // cycles - 1, step_in_cycle)
    position: I64 = ((nth % cycles + step_in_cycle * distance) % rows).astype(np.int64)
    return position


def _sample_listed_pairs(
    batches: BatchGroup, seed: int, circle: I64, step: I64 | None, largest: I64
) -> tuple[I64, I64, I64]:
    """Sample from a list of all negative pairs, orbit by orbit; returns positions on the circle."""
    del step, largest
    rows = circle.shape[1]
    distance = np.repeat(np.arange(1, rows // 2 + 1), rows)
    first = _orbit_position(distance, np.tile(np.arange(rows), rows // 2), rows)
    once = (2 * distance < rows) | (first < rows // 2)
    distance, first = distance[once], first[once]
    second = (first + distance) % rows
    parts: list[tuple[I64, ...]] = []
    block = max(_PAIRS_PER_BLOCK // max(first.size, 1), 1)
    for start in range(0, circle.shape[0], block):
        chosen = np.arange(start, min(start + block, circle.shape[0]))
        classes = np.take_along_axis(batches.classes[chosen], circle[chosen], axis=1)
        batch_numbers = batches.batch_numbers[chosen, None]
        orbit_key = hash_integers(seed, _ORBIT, batch_numbers, np.arange(rows // 2 + 1)[None])
        keys: U64 = orbit_key[:, distance] >> np.uint64(1)
        keys = np.where(classes[:, first] != classes[:, second], keys, _LAST_KEY)
        order = np.argsort(keys, axis=1, kind="stable")
        taken: npt.NDArray[np.bool_] = np.arange(first.size) < batches.needed[chosen, None]
        batch, nth = np.nonzero(taken)
        pair = order[batch, nth]
        parts.append((chosen[batch], first[pair], second[pair]))
    batch, left, right = (np.concatenate(column) for column in zip(*parts, strict=True))
    return batch, left, right
