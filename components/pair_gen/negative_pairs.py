"""Different pairs of a batch, spread evenly over its rows.

The R rows of a batch are laid on a circle. *Orbit* d holds the pairs of rows that are d places
apart, so a whole orbit has every row exactly twice (d = R / 2, the half orbit: once). An orbit is
*clean* if all its pairs are of different classes:

- Classes of equal size, interleaved (abcabc): every d that is no multiple of the number of
  classes. Together these are all different pairs there are.
- Unequal classes, one after the other (aaabbc): every d from the size of the largest class on.

Whole orbits, chosen by key, keep the rows equal; what remains comes from one more orbit of which
every other pair is taken first, so that rows differ by at most one pair (or two, where all clean
orbits are cycles of odd length: an odd R, or an even one with unequal classes). Where clean orbits
do not suffice, the different pairs of the others are taken too.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.hashing import I64, U64, hash_of

_ORBIT, _TURN, _CLASS, _ROW = 11, 12, 13, 14  # what a key is for
_NEVER = np.uint64(2**64 - 1)
_AT_ONCE = 2**22  # pairs listed together where all pairs of a batch must be


@dataclasses.dataclass(frozen=True)
class Batches:
    """Batches of equally many rows R, so that they can be drawn from together.

    Attributes:
      number: (b,) of the batch in the split.
      classes: (b, R) of the rows; equal where the class is.
      needed: (b,) different pairs to draw, at most as many as there are.
    """

    number: I64
    classes: I64
    needed: I64


def different_pairs(batches: Batches, seed: int) -> tuple[I64, I64, I64]:
    """Draws ``needed`` different pairs in each batch; no pair twice.

    Returns:
      Index of the batch, and columns (0 to R - 1) of the two rows; one entry a pair.
    """
    rows = batches.classes.shape[1]
    sizes, num_classes = _class_sizes(batches.classes)
    largest = sizes.max(axis=1)
    equal = (sizes == largest[:, None]).all(axis=1)
    block_capacity = np.maximum((rows - 1) // 2 - largest + 1, 0) * rows
    listed = ~equal & (batches.needed > block_capacity)
    parts = []
    for chosen, draw, interleaved in (
        (np.flatnonzero(equal), _from_orbits, True),
        (np.flatnonzero(~equal & ~listed), _from_orbits, False),
        (np.flatnonzero(listed), _from_list, True),
    ):
        if not chosen.size:
            continue
        some = Batches(batches.number[chosen], batches.classes[chosen], batches.needed[chosen])
        circle = _circle(some, sizes[chosen], seed, interleaved)
        step, lowest = num_classes[chosen], largest[chosen]
        batch, first, second = draw(some, seed, circle, step if interleaved else None, lowest)
        parts.append((chosen[batch], circle[batch, first], circle[batch, second]))
    if not parts:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing
    batch, left, right = (np.concatenate(column) for column in zip(*parts, strict=True))
    return batch, left, right


def _class_sizes(classes: I64) -> tuple[I64, I64]:
    """For each row the size of its class in the batch, and the number of classes of each batch."""
    order = np.argsort(classes, axis=1, kind="stable")
    ordered = np.take_along_axis(classes, order, axis=1)
    new = np.ones(classes.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = new.ravel().cumsum() - 1
    sizes = np.empty(classes.shape, np.int64)
    np.put_along_axis(sizes, order, np.bincount(group)[group].reshape(classes.shape), axis=1)
    return sizes, new.sum(axis=1)


def _circle(batches: Batches, sizes: I64, seed: int, interleaved: bool) -> I64:
    """Columns in the order of the circle: classes and the rows in them in keyed orders."""
    rows = batches.classes.shape[1]
    number = batches.number[:, None]
    class_key = hash_of(seed, _CLASS, number, batches.classes)
    row_key = hash_of(seed, _ROW, number, np.arange(rows)[None])
    blocks = np.lexsort((row_key, batches.classes, class_key), axis=1)
    if not interleaved:
        return blocks
    # The k-th of a class with g rows comes at (2 k + 1) / 2 g of the way round.
    ordered = np.take_along_axis(batches.classes, blocks, axis=1)
    new = np.ones(ordered.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    place = np.broadcast_to(np.arange(rows), ordered.shape)
    nth = place - np.maximum.accumulate(np.where(new, place, 0), axis=1)
    way = (2 * nth + 1) / (2 * np.take_along_axis(sizes, blocks, axis=1))
    return np.take_along_axis(blocks, np.argsort(way, axis=1, kind="stable"), axis=1)


def _from_orbits(
    batches: Batches, seed: int, circle: I64, step: I64 | None, largest: I64
) -> tuple[I64, I64, I64]:
    """Whole clean orbits and a part of one more; places on the circle."""
    rows = circle.shape[1]
    distances = np.arange(1, (rows - 1) // 2 + 1)
    half = rows // 2 if rows % 2 == 0 else 0
    if step is not None:
        clean = distances[None] % step[:, None] != 0
        half_clean = (half % step != 0) if half else np.zeros(step.size, bool)
    else:
        clean = distances[None] >= largest[:, None]
        half_clean = (half >= largest) if half else np.zeros(largest.size, bool)

    rest = batches.needed % rows
    use_half = (rest > 0) & (2 * rest <= rows) & half_clean
    keys = hash_of(seed, _ORBIT, batches.number[:, None], distances[None])
    keys = np.where(clean, keys >> np.uint64(2), _NEVER)
    # The orbit that is taken in part comes first, by preference one with cycles of even length.
    part = (rest > 0) & ~use_half
    if part.any():
        odd = (rows // np.gcd(distances, rows)) % 2 == 1
        liking = np.where(clean & odd[None], keys | np.uint64(2**62), keys)
        favourite = np.flatnonzero(part)
        keys[favourite, np.argmin(liking[favourite], axis=1)] = 0
    order = np.argsort(keys, axis=1, kind="stable")

    batch = np.repeat(np.arange(rest.size), batches.needed)
    nth = np.arange(batch.size) - np.repeat(
        batches.needed.cumsum() - batches.needed, batches.needed
    )
    from_whole = nth - rest[batch]
    in_part = from_whole < 0
    orbit = np.maximum(from_whole, 0) // rows + part[batch]
    distance = np.full(batch.size, half)
    by_order = np.flatnonzero(~in_part | ~use_half[batch])
    orbit[in_part] = 0
    distance[by_order] = distances[order[batch[by_order], orbit[by_order]]]
    first = np.where(in_part, 0, from_whole % rows)
    first[in_part] = _nth_of_orbit(distance[in_part], nth[in_part], rows)
    turn = hash_of(seed, _TURN, batches.number) % np.uint64(max(rows, 1))
    first = (first + turn.astype(np.int64)[batch]) % rows
    return batch, first, (first + distance) % rows


def _nth_of_orbit(distance: I64, nth: I64, rows: int) -> I64:
    """Place q of the nth pair (q, q + d) to take of an orbit: every other of a cycle first."""
    cycles = np.gcd(distance, rows)
    turns = rows // cycles // 2  # pairs of a cycle that have no row in common
    other = nth >= cycles * turns
    along = 2 * (nth // cycles - np.where(other, turns, 0)) + other
    # A cycle of odd length has one pair left over.
    along = np.where(nth >= 2 * cycles * turns, rows // cycles - 1, along)
    place: I64 = ((nth % cycles + along * distance) % rows).astype(np.int64)
    return place


def _from_list(
    batches: Batches, seed: int, circle: I64, step: I64 | None, largest: I64
) -> tuple[I64, I64, I64]:
    """Different pairs of all orbits, orbit after orbit; places on the circle."""
    del step, largest
    rows = circle.shape[1]
    distance = np.repeat(np.arange(1, rows // 2 + 1), rows)
    first = _nth_of_orbit(distance, np.tile(np.arange(rows), rows // 2), rows)
    once = (2 * distance < rows) | (first < rows // 2)
    distance, first = distance[once], first[once]
    second = (first + distance) % rows
    parts: list[tuple[I64, ...]] = []
    block = max(_AT_ONCE // max(first.size, 1), 1)
    for start in range(0, circle.shape[0], block):
        chosen = np.arange(start, min(start + block, circle.shape[0]))
        classes = np.take_along_axis(batches.classes[chosen], circle[chosen], axis=1)
        number = batches.number[chosen, None]
        orbit_key = hash_of(seed, _ORBIT, number, np.arange(rows // 2 + 1)[None])
        keys: U64 = orbit_key[:, distance] >> np.uint64(1)
        keys = np.where(classes[:, first] != classes[:, second], keys, _NEVER)
        order = np.argsort(keys, axis=1, kind="stable")
        taken: npt.NDArray[np.bool_] = np.arange(first.size) < batches.needed[chosen, None]
        batch, nth = np.nonzero(taken)
        pair = order[batch, nth]
        parts.append((chosen[batch], first[pair], second[pair]))
    batch, left, right = (np.concatenate(column) for column in zip(*parts, strict=True))
    return batch, left, right
