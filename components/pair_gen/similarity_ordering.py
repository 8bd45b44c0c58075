"""Classes in a line, along which those that lie close in an embedding are neighbours.

The leaves of a projection tree, read from left to right: all classes are halved at the median of
their projections on one direction, and each half again, on a direction of its own (Dasgupta &
Freund, "Random projection trees and low dimensional manifolds", STOC 2008). Their directions are
random; here one starts at a class drawn by the key, points to the class farthest from it, and
is turned twice to join the means of the two halves, as in 2-means. That keeps clusters together
better, and the draw still gives another line for another key. Each direction points the way of
the one above it, so that nodes meet at their near ends.

All is arithmetic on whole numbers: float64 holds those below 2**53 exactly, so the products of
matrices give the same in any order of summation, on any machine, at the speed of BLAS.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.hashing import I64, U64, hash_of

Whole = npt.NDArray[np.float64]  # whole numbers

_LEAF = 4  # classes that are not divided any more; fewer than most batches hold
_SEEN = 256  # members of a node that choose its direction
_TURNS = 2
_EXACT_BITS = 50  # for coordinates up to M, d * M**2; products of differences are 4 times that


@dataclasses.dataclass(frozen=True)
class Centroids:
    """Where some classes lie: their keys, (n,), and coordinates, (n, d) whole numbers."""

    keys: U64
    points: npt.NDArray[np.int32]


def lines(keys: U64, centroids: Centroids, rounds: int, salt: U64) -> I64:
    """Lines of the classes, a fresh one a round.

    Args:
      keys: (c,) of the classes, sorted.
      centroids: of any classes in any order. Classes that have none stand at the end of each
        line, in a random order.
      rounds: number of lines.
      salt: (1,), another one gives other lines.

    Returns:
      (rounds, c): place of each class on each line.

    Memory: 16 d bytes a class.
    """
    by_key = np.argsort(centroids.keys)
    by_key = by_key[np.isin(centroids.keys[by_key], keys)]
    known = np.searchsorted(keys, centroids.keys[by_key])
    points = _exact(centroids.points[by_key])
    unknown = np.setdiff1d(np.arange(keys.size), known)
    places = np.empty((rounds, keys.size), np.int64)
    for number in range(rounds):
        key = hash_of(number, salt)
        last = unknown[np.argsort(hash_of(key, keys[unknown]), kind="stable")]
        places[number, np.concatenate([known[line_of(points, key)], last])] = np.arange(keys.size)
    return places


def line_of(points: Whole, key: U64) -> I64:
    """The order of the points, (n, d) whole numbers, along one line: (n,) indices."""
    count, size = points.shape
    levels = 0
    while count > _LEAF << levels:
        levels += 1
    # Nodes of a level have as many slots each; what is left over stays absent, index -1.
    slots = -(-max(count, 1) // 2**levels) << levels
    index = np.full(slots, -1)
    index[:count] = np.arange(count)
    placed, spare = np.zeros((slots, size)), np.empty((slots, size))
    placed[:count] = points
    directions = np.zeros((1, size))
    for level in range(levels + 1):
        nodes = placed.reshape(2**level, -1, size)
        present = (index >= 0).reshape(2**level, -1)
        above = directions.repeat(2, axis=0)[: 2**level]
        directions = _directions(nodes, present, hash_of(key, level, np.arange(2**level)))
        directions *= np.where((directions * above).sum(axis=1) < 0, -1, 1)[:, None]
        projected = np.where(present, _products(nodes, directions), np.inf)
        order = np.argsort(projected, axis=1, kind="stable")
        if level < levels:
            order = _halved(order, present.sum(axis=1, keepdims=True))
        moved = (order + np.arange(0, slots, order.shape[1])[:, None]).ravel()
        index = index[moved]
        np.take(placed, moved, axis=0, out=spare, mode="clip")  # "raise" would make a copy
        placed, spare = spare, placed
    return index[index >= 0]


def _exact(points: npt.NDArray[np.int32]) -> Whole:
    """The points, in coarser units where sums of their products would not be exact."""
    largest = max(int(points.max(initial=0)), -int(points.min(initial=0)))
    bits = (_EXACT_BITS - max(points.shape[1] - 1, 0).bit_length()) // 2
    whole: Whole = (points >> max(largest.bit_length() - bits, 0)).astype(np.float64)
    return whole


def _products(nodes: Whole, directions: Whole) -> Whole:
    """(m, s, d) with (m, d) to (m, s)."""
    products: Whole = np.matmul(nodes, directions[:, :, None])[:, :, 0]
    return products


def _directions(nodes: Whole, present: npt.NDArray[np.bool_], keys: U64) -> Whole:
    """A direction for each of m nodes, (m, d); its members stand before its absent slots."""
    every = -(-nodes.shape[1] // _SEEN)
    nodes, present = nodes[:, ::every], present[:, ::every]
    row, members = np.arange(keys.size), present.sum(axis=1)
    drawn = ((keys >> np.uint64(32)) * members.astype(np.uint64)) >> np.uint64(32)
    start = nodes[row, drawn.astype(np.int64)]
    apart = np.einsum("msd,msd->ms", nodes, nodes) - 2 * _products(nodes, start)
    directions: Whole = nodes[row, np.where(present, apart, -np.inf).argmax(axis=1)] - start
    for _ in range(_TURNS):
        projected = np.where(present, _products(nodes, directions), np.inf)
        median = np.sort(projected, axis=1)[row, (members - 1) // 2]
        low = present & (projected <= median[:, None])
        directions = np.rint(_means(nodes, present & ~low) - _means(nodes, low))
    return directions


def _means(nodes: Whole, chosen: npt.NDArray[np.bool_]) -> Whole:
    """Means of the chosen members of each node; zero where none is chosen."""
    sums = np.matmul(chosen[:, None, :].astype(np.float64), nodes)[:, 0]
    means: Whole = sums / np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    return means


def _halved(order: I64, members: I64) -> I64:
    """Deals the slots of a node, members first, to two halves, each with its members first.

    Args:
      order: (m, s) slots of each node, s even.
      members: (m, 1) how many of them are present.
    """
    half = order.shape[1] // 2
    left, place = -(-members // 2), np.arange(half)
    # The right half begins at the median; the left one is filled up from behind it.
    taken_left = np.where(place < left, place, place + half)
    return np.take_along_axis(order, np.concatenate([taken_left, place + left], axis=1), axis=1)
