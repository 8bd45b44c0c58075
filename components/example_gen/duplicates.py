"""Find duplicates and conflicting labels among the records of all examples.

Memory: a few integers per example. Work: sorting, and a bounded number of comparisons per image.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
import scipy.sparse
from scipy.sparse import csgraph

from diptych.components.example_gen.fingerprints import UInt64s, mix_bits
from diptych.components.example_gen.near_images import Thumbnails, find_near_images
from diptych.schemas.data_report import DuplicateKind

KINDS: tuple[DuplicateKind, ...] = get_args(DuplicateKind)

Indices = npt.NDArray[np.int64]
_LINKS_PER_UNION = 8  # a union after links of an eighth of the nodes


@dataclasses.dataclass(frozen=True)
class Groups:
    """Groups of at least two duplicates among n examples.

    Attributes:
      members: (m,) examples that are in a group, ordered by group.
      starts: (g + 1,) first member of each group, and m.
      kinds: (g,) index into ``KINDS`` of the weakest link in each group.
    """

    members: Indices
    starts: Indices
    kinds: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def sizes(self) -> Indices:
        """(g,) number of members of each group."""
        sizes: Indices = np.diff(self.starts)
        return sizes

    def of_members(self) -> Indices:
        """Return the (m,) group of each member."""
        return np.repeat(np.arange(len(self)), self.sizes)


def group_equal(keys: npt.NDArray[np.generic]) -> Indices:
    """Number the distinct keys; returns (n,) the number of each key, in sorted order."""
    numbers: Indices = np.unique(keys, return_inverse=True)[1].astype(np.int64, copy=False)
    return numbers


def link_near(
    content: UInt64s, near: UInt64s, labels: UInt64s, thumbnails: Thumbnails | None
) -> tuple[UInt64s, Indices]:
    """Unite distinct contents that are near-duplicates and have the same label.

    Similar examples with different labels are probably different: otherwise, data whose classes
    differ by a colour or a size would be a single group. If they are not, one label is wrong, and
    the copy in training does not make the result too good.

    Args:
      content: (n,) content of each example; equal contents have equal labels.
      near: (n, 2) from ``Fingerprints.near``.
      labels: (n,) label of each example; the same number for examples without labels.
      thumbnails: Returns the thumbnails of examples if they are images; None for vectors.

    Returns:
      (d,) distinct contents, sorted, and (d,) the number of the component of each.
    """
    distinct, first = np.unique(content, return_index=True)
    if thumbnails is None:
        columns = (near[first, column] ^ labels[first] for column in range(near.shape[1]))
        return distinct, unite(len(distinct), (links_of_equal(keys) for keys in columns))

    def of_distinct(rows: Indices) -> npt.NDArray[np.uint8]:
        return thumbnails(first[rows])

    of_labels = labels[first]
    components = _GrowingComponents(len(distinct))

    def is_needed(left: Indices, right: Indices) -> npt.NDArray[np.bool_]:
        needed: npt.NDArray[np.bool_] = of_labels[left] == of_labels[right]
        return needed & components.are_apart(left, right)

    for left, right in find_near_images(near[first, 0], of_distinct, is_needed):
        components.add(left, right)
    return distinct, components.numbers()


class _GrowingComponents:
    """Connected components of a graph whose links are added one part after the other."""

    def __init__(self, num_nodes: int) -> None:
        self._numbers: Indices = np.arange(num_nodes)
        self._links: list[tuple[Indices, Indices]] = []
        self._num_links = 0

    def add(self, left: Indices, right: Indices) -> None:
        """Add links between nodes."""
        self._links.append((left, right))
        self._num_links += len(left)
        # Uniting takes time for all nodes, so not after every part.
        if self._num_links * _LINKS_PER_UNION >= len(self._numbers):
            self._unite()

    def are_apart(self, left: Indices, right: Indices) -> npt.NDArray[np.bool_]:
        """Return whether nodes are in different components, but for the newest links."""
        apart: npt.NDArray[np.bool_] = self._numbers[left] != self._numbers[right]
        return apart

    def numbers(self) -> Indices:
        """Return the (n,) number of the component of each node."""
        self._unite()
        return self._numbers

    def _unite(self) -> None:
        numbers = self._numbers
        links = ((numbers[left], numbers[right]) for left, right in self._links)
        self._numbers = unite(len(numbers), links)[numbers]
        self._links, self._num_links = [], 0


def links_of_equal(keys: npt.NDArray[np.generic]) -> tuple[Indices, Indices]:
    """Return links that connect all rows with equal keys."""
    order = np.argsort(keys, kind="stable")
    equal = keys[order[1:]] == keys[order[:-1]]
    return order[:-1][equal], order[1:][equal]


def unite(num_nodes: int, links: Iterable[tuple[Indices, Indices]]) -> Indices:
    """Return the (n,) number of the connected component of each node."""
    left, right = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for ones, others in links:
        left.append(ones)
        right.append(others)
    ends = np.concatenate(left), np.concatenate(right)
    # Most nodes have no link: only the others enter the graph.
    linked, nodes = np.unique(np.concatenate(ends), return_inverse=True)
    components = np.arange(num_nodes)
    if not len(linked):
        return components
    pairs = nodes.reshape(2, -1)
    graph = scipy.sparse.coo_array(
        (np.ones(pairs.shape[1], bool), (pairs[0], pairs[1])), shape=(len(linked), len(linked))
    )
    _, found = csgraph.connected_components(graph, directed=False)
    _, first = np.unique(found, return_index=True)
    components[linked] = linked[first][found]
    return group_equal(components)


def find_groups(components: Indices, exact: UInt64s, content: UInt64s, is_image: bool) -> Groups:
    """Return the components with at least two examples.

    Args:
      components: (n,) component of each example.
      exact: (n,) from ``Fingerprints``; the weakest link decides the kind of a group.
      content: (n,) likewise.
      is_image: The examples are images, otherwise vectors.
    """
    order = np.argsort(components, kind="stable")
    ordered = components[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(order)])
    sizes = np.diff(starts, append=len(order))
    kept = sizes > 1
    members = order[np.repeat(kept, sizes)]
    sizes = sizes[kept]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    if not len(sizes):
        return Groups(members, starts, np.empty(0, np.int64))

    def differ(keys: UInt64s) -> npt.NDArray[np.bool_]:
        of_members = keys[members]
        lowest = np.minimum.reduceat(of_members, starts[:-1])
        different: npt.NDArray[np.bool_] = lowest != np.maximum.reduceat(of_members, starts[:-1])
        return different

    weakest = KINDS.index("near" if is_image else "rounded")
    kinds = np.where(
        differ(content), weakest, np.where(differ(exact), KINDS.index("equal_pixels"), 0)
    )
    return Groups(members, starts, kinds)


def find_conflicts(content: npt.NDArray[np.generic], labels: npt.NDArray[np.generic]) -> Indices:
    """Return the examples whose content also occurs with another label, ordered by content."""
    order = np.lexsort((labels, content))
    ordered, ordered_labels = content[order], labels[order]
    if not len(order):
        return order
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(starts, append=len(order))
    # Sorted by label within the content: it has several if the first and the last differ.
    conflicting = ordered_labels[starts] != ordered_labels[starts + sizes - 1]
    conflicts: Indices = order[np.repeat(conflicting, sizes)]
    return conflicts


def combine_sides(left: Sequence[int] | Indices, right: Sequence[int] | Indices) -> UInt64s:
    """Return one key for each pair of nodes, the same for (a, b) and (b, a)."""
    low, high = np.minimum(left, right), np.maximum(left, right)
    return mix_bits(
        mix_bits(np.asarray(low).astype(np.uint64)) + np.asarray(high).astype(np.uint64)
    )
