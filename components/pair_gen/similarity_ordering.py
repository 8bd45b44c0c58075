"""Order classes so that neighbours are close to each other in an embedding.

The ordering lists the leaves of a projection tree from left to right: it splits all classes at the
median of their projections onto a direction, and each half again, onto a direction computed for
that half (Dasgupta & Freund, "Random projection trees and low dimensional manifolds", STOC 2008).
The paper uses random directions. Here, a direction starts at a class sampled by the key, points to
the class farthest from it, and is replaced twice by the line between the means of the two halves,
as in 2-means. This keeps clusters together better, and the sampled class still gives each key its
own ordering. Each direction has a nonnegative dot product with that of its parent, so that adjacent
nodes meet at their near ends.

Everything is arithmetic on integers. float64 represents those below 2**53 exactly, so matrix
products give the same result in any order of summation, on any machine, at the speed of BLAS.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.hashing import I64, U64, hash_integers

IntegralFloats = npt.NDArray[np.float64]  # integers

_LEAF_SIZE = 4  # classes in a node that is not split further; fewer than in most batches
_MAX_SAMPLED = 256  # members that determine the direction of a node
_REFINEMENTS = 2
_EXACT_BITS = 50  # bits of d * M**2 for coordinates up to M; products of differences need 2 more


@dataclasses.dataclass(frozen=True)
class CentroidPoints:
    """Centroids of classes.

    Attributes:
      keys: (n,) keys of the classes.
      points: (n, d) integer coordinates.
    """

    keys: U64
    points: npt.NDArray[np.int32]


def similarity_orderings(keys: U64, centroids: CentroidPoints, rounds: int, salt: U64) -> I64:
    """Order the classes by similarity, differently in each round.

    Memory: 16 d bytes per class.

    Args:
      keys: (c,) keys of the classes, sorted.
      centroids: Centroids of any classes, in any order. Classes without a centroid are at the end
        of each ordering, in random order.
      rounds: Number of orderings.
      salt: (1,) hash that determines the orderings.

    Returns:
      (rounds, c) position of each class in each ordering.
    """
    by_key = np.argsort(centroids.keys)
    by_key = by_key[np.isin(centroids.keys[by_key], keys)]
    with_centroid = np.searchsorted(keys, centroids.keys[by_key])
    points = _to_exact_floats(centroids.points[by_key])
    without_centroid = np.setdiff1d(np.arange(keys.size), with_centroid)
    orderings = np.empty((rounds, keys.size), np.int64)
    for round_index in range(rounds):
        key = hash_integers(round_index, salt)
        tail = without_centroid[
            np.argsort(hash_integers(key, keys[without_centroid]), kind="stable")
        ]
        ordered = with_centroid[order_by_projection_tree(points, key)]
        orderings[round_index, np.concatenate([ordered, tail])] = np.arange(keys.size)
    return orderings


def order_by_projection_tree(points: IntegralFloats, key: U64) -> I64:
    """Order points along the leaves of a projection tree.

    Args:
      points: (n, d) integers.
      key: (1,) hash that determines the directions.

    Returns:
      (n,) indices of the points.
    """
    count, size = points.shape
    levels = 0
    while count > _LEAF_SIZE << levels:
        levels += 1
    # All nodes of a level have the same number of slots; surplus slots stay empty, with index -1.
    slots = -(-max(count, 1) // 2**levels) << levels
    index = np.full(slots, -1)
    index[:count] = np.arange(count)
    slot_points, spare = np.zeros((slots, size)), np.empty((slots, size))
    slot_points[:count] = points
    directions = np.zeros((1, size))
    for level in range(levels + 1):
        nodes = slot_points.reshape(2**level, -1, size)
        occupied = (index >= 0).reshape(2**level, -1)
        parent_directions = directions.repeat(2, axis=0)[: 2**level]
        directions = _split_directions(
            nodes, occupied, hash_integers(key, level, np.arange(2**level))
        )
        directions *= np.where((directions * parent_directions).sum(axis=1) < 0, -1, 1)[:, None]
        projected = np.where(occupied, _dot_products(nodes, directions), np.inf)
        order = np.argsort(projected, axis=1, kind="stable")
        if level < levels:
            order = _split_slots(order, occupied.sum(axis=1, keepdims=True))
        source_slots = (order + np.arange(0, slots, order.shape[1])[:, None]).ravel()
        index = index[source_slots]
        np.take(
            slot_points, source_slots, axis=0, out=spare, mode="clip"
        )  # mode="raise" would copy
        slot_points, spare = spare, slot_points
    return index[index >= 0]


def _to_exact_floats(points: npt.NDArray[np.int32]) -> IntegralFloats:
    """Convert points to floats, in a coarser unit where sums of products would not be exact."""
    largest = max(int(points.max(initial=0)), -int(points.min(initial=0)))
    bits = (_EXACT_BITS - max(points.shape[1] - 1, 0).bit_length()) // 2
    exact: IntegralFloats = (points >> max(largest.bit_length() - bits, 0)).astype(np.float64)
    return exact


def _dot_products(nodes: IntegralFloats, directions: IntegralFloats) -> IntegralFloats:
    """Multiply (m, s, d) nodes by (m, d) directions; returns (m, s)."""
    products: IntegralFloats = np.matmul(nodes, directions[:, :, None])[:, :, 0]
    return products


def _split_directions(
    nodes: IntegralFloats, occupied: npt.NDArray[np.bool_], keys: U64
) -> IntegralFloats:
    """Compute the direction along which each node is split.

    Args:
      nodes: (m, s, d) slots of the nodes, members first.
      occupied: (m, s) whether a slot has a member.
      keys: (m,) hash of each node.

    Returns:
      (m, d) directions.
    """
    stride = -(-nodes.shape[1] // _MAX_SAMPLED)
    nodes, occupied = nodes[:, ::stride], occupied[:, ::stride]
    row, members = np.arange(keys.size), occupied.sum(axis=1)
    start_member = ((keys >> np.uint64(32)) * members.astype(np.uint64)) >> np.uint64(32)
    start = nodes[row, start_member.astype(np.int64)]
    distances = np.einsum("msd,msd->ms", nodes, nodes) - 2 * _dot_products(nodes, start)
    directions: IntegralFloats = (
        nodes[row, np.where(occupied, distances, -np.inf).argmax(axis=1)] - start
    )
    for _ in range(_REFINEMENTS):
        projected = np.where(occupied, _dot_products(nodes, directions), np.inf)
        median = np.sort(projected, axis=1)[row, (members - 1) // 2]
        low = occupied & (projected <= median[:, None])
        directions = np.rint(_member_means(nodes, occupied & ~low) - _member_means(nodes, low))
    return directions


def _member_means(nodes: IntegralFloats, chosen: npt.NDArray[np.bool_]) -> IntegralFloats:
    """Average the chosen members of each node; zero where none is chosen."""
    sums = np.matmul(chosen[:, None, :].astype(np.float64), nodes)[:, 0]
    means: IntegralFloats = sums / np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    return means


def _split_slots(order: I64, members: I64) -> I64:
    """Split the slots of each node into two halves, each with its members first.

    Args:
      order: (m, s) slots of each node, s even, members first.
      members: (m, 1) number of members.
    """
    half = order.shape[1] // 2
    left, position = -(-members // 2), np.arange(half)
    # The right half begins at the median; slots from its end complete the left half.
    left_slots = np.where(position < left, position, position + half)
    return np.take_along_axis(order, np.concatenate([left_slots, position + left], axis=1), axis=1)
