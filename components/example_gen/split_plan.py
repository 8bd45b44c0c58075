"""Plan the splits of all examples from their records.

The split of an example is known when all examples have been read: duplicates and connected pairs
stay together, and the time of an example is compared with that of all others.
"""

import dataclasses
import io
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from diptych.components.example_gen import duplicates
from diptych.components.example_gen.duplicates import Groups, Indices
from diptych.components.example_gen.fingerprints import THUMBNAIL_BYTES
from diptych.components.example_gen.records import RecordTable
from diptych.components.example_gen.split_by_time import split_by_time
from diptych.components.example_gen.splits import splits_of_ids
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.data_report import GivenPairs
from diptych.schemas.errors import DataError
from diptych.schemas.shards import SPLITS

REJECTED = len(SPLITS)  # of examples with conflicting labels
TRAIN, TEST = SPLITS.index("train"), SPLITS.index("test")

_MAX_TRIED_SEEDS = 100
_MAX_TRIED_COMPONENTS = 10_000
_MIN_SHARE = 0.5  # of the fraction of a split that connected pairs must reach


@dataclasses.dataclass(frozen=True)
class SplitChanges:
    """Examples that are not in the split assigned from their row alone.

    Attributes:
      keys: (n,) uint64 keys of the rows, sorted.
      splits: (n,) uint8 split of each, an index into ``SPLITS``, or ``REJECTED``.
    """

    keys: npt.NDArray[np.uint64]
    splits: npt.NDArray[np.uint8]

    def apply(
        self, keys: npt.NDArray[np.uint64], splits: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        """Return the final splits of rows, given their keys and the splits assigned so far."""
        if not len(self.keys):
            return splits
        positions = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[positions] == keys, self.splits[positions], splits)

    def to_bytes(self) -> bytes:
        """Serialize the arrays."""
        buffer = io.BytesIO()
        np.savez(buffer, keys=self.keys, splits=self.splits)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "SplitChanges":
        """Read what ``to_bytes`` wrote."""
        with np.load(io.BytesIO(content)) as arrays:
            return cls(arrays["keys"], arrays["splits"])


@dataclasses.dataclass(frozen=True)
class SplitPlan:
    """Splits of all examples, and what was found on the way.

    Attributes:
      used: (n,) False for examples of skipped spans.
      splits: (n,) index into ``SPLITS``, or ``REJECTED``.
      num_moved: Number of examples that were moved to the split of their duplicates.
      groups: Groups of duplicates.
      conflicts: Examples with conflicting labels, ordered by content.
      conflict_groups: The number of the content of each of these.
      leaked_sides: For each side, the test examples that are known from the training split.
      pairs: Counts of given pairs; None for examples.
    """

    used: npt.NDArray[np.bool_]
    splits: npt.NDArray[np.uint8]
    num_moved: int
    groups: Groups
    conflicts: Indices
    conflict_groups: Indices
    leaked_sides: tuple[Indices, ...]
    pairs: GivenPairs | None = None

    def changes(self, table: RecordTable) -> SplitChanges:
        """Return the examples whose split differs from the one assigned from their row."""
        changed = np.flatnonzero(self.used & (self.splits != table.records.splits))
        keys = table.records.keys[changed]
        order = np.argsort(keys)
        return SplitChanges(keys[order], self.splits[changed][order])


def plan_splits(table: RecordTable, spans: Sequence[str], split: SplitConfig) -> SplitPlan:
    """Plan the splits of all examples.

    Args:
      table: Records of all examples.
      spans: Names of the spans that are used, oldest first.
      split: Configuration of the splits.

    Raises:
      DataError: If the pairs or the times of the data cannot be divided as configured, or different
        examples have the same id.
    """
    records = table.records
    span_numbers = np.full(len(table), -1)
    for span, of_span in table.spans():
        if span in spans:
            span_numbers[of_span] = spans.index(span)
    used = np.flatnonzero(span_numbers >= 0)
    paired = len(records.sides) == 2
    # Numbers of the sides, equal for the same content.
    contents = _number_contents(table, used)
    keys = duplicates.combine_sides(*contents) if paired else contents[0]
    _check_ids(table, used, keys)
    conflicts = used[duplicates.find_conflicts(keys, records.labels[used])]
    splits = records.splits.copy()
    splits[conflicts] = REJECTED
    kept = np.flatnonzero(splits[used] != REJECTED)
    rows = used[kept]
    nodes = _unite_near(table, rows)
    if paired:
        components = duplicates.group_equal(duplicates.combine_sides(*nodes))
        exact = duplicates.combine_sides(*(side[kept] for side in contents))
        groups = duplicates.find_groups(components, exact, exact, table.has_thumbnails)
    else:
        side = records.sides[0]
        components = nodes[0]
        groups = duplicates.find_groups(
            components, side.exact[rows], side.content[rows], table.has_thumbnails
        )
    num_moved = 0
    if split.by == "time" and len(rows):  # conflicts, which stop the run, may leave none
        times = records.times[rows] if records.times is not None else span_numbers[rows]
        dated = None if records.dated is None else records.dated[rows]
        splits[rows] = split_by_time(times, dated, split)
    elif split.by == "connected" and len(rows):
        united = nodes if split.duplicates == "together" else [side[kept] for side in contents]
        connected = _connect(*united)
        splits[rows] = _split_components(connected, records.ids[rows], split)
    elif split.by == "example" and split.duplicates == "together":
        before = splits[rows]
        _keep_together(splits, rows, groups, records.ids)
        num_moved = int((splits[rows] != before).sum())
    of_rows = splits[rows]
    leaked = _find_leaks(of_rows, nodes)
    return SplitPlan(
        used=span_numbers >= 0,
        splits=splits,
        num_moved=num_moved,
        groups=dataclasses.replace(groups, members=rows[groups.members]),
        conflicts=conflicts,
        conflict_groups=duplicates.group_equal(keys[np.searchsorted(used, conflicts)]),
        leaked_sides=tuple(rows[side] for side in leaked),
        pairs=_count_pairs(of_rows, nodes) if paired else None,
    )


def _check_ids(table: RecordTable, rows: Indices, contents: npt.NDArray[np.generic]) -> None:
    """Check that no two examples with different contents have the same id.

    The steps after this one read an example by its id.

    Args:
      table: Records of all examples.
      rows: (n,) rows to check.
      contents: (n,) equal for the same content.

    Raises:
      DataError: If an id is not unique, which only ids from a column of the data can be.
    """
    ambiguous = duplicates.find_conflicts(table.records.ids[rows], contents)
    if not len(ambiguous):
        return
    ids = table.records.ids[rows[ambiguous]]
    is_first = ids == ids[0]
    sources = sorted(table.names(rows[ambiguous[is_first]]).sources)
    raise DataError(
        f"The column data.id is not unique: {len(ambiguous):,} different examples have "
        f"{len(np.unique(ids)):,} keys, such as {' and '.join(sources[:2])}, which have the same. "
        "Name a column with one key per example, or remove data.id. To keep all examples of a key "
        "in one split, set data.group to the column and split.by to group."
    )


def _number_contents(table: RecordTable, rows: Indices) -> list[Indices]:
    """Number the distinct contents of all sides; equal contents have equal numbers."""
    sides = [side.content[rows] for side in table.records.sides]
    numbers = duplicates.group_equal(np.concatenate(sides))
    return list(np.split(numbers, len(sides)))


def _unite_near(table: RecordTable, rows: Indices) -> list[Indices]:
    """Return (n,) numbers for each side that are equal for near-duplicates as well."""
    sides = table.records.sides
    content = np.concatenate([side.content[rows] for side in sides])
    near = np.concatenate([side.near[rows] for side in sides])
    # The label of given pairs is not one of their sides.
    labels = table.records.labels[rows] if len(sides) == 1 else np.zeros(len(content), np.uint64)
    thumbnails: Callable[[Indices], npt.NDArray[np.uint8]] | None = None
    if table.has_thumbnails:

        def read_thumbnails(indices: Indices) -> npt.NDArray[np.uint8]:
            found = np.empty((len(indices), THUMBNAIL_BYTES), np.uint8)
            for side in range(len(sides)):
                chosen = indices // len(rows) == side
                found[chosen] = table.thumbnails(rows[indices[chosen] % len(rows)], side)
            return found

        thumbnails = read_thumbnails
    distinct, components = duplicates.link_near(content, near, labels, thumbnails)
    nodes = components[np.searchsorted(distinct, content)]
    return list(np.split(nodes, len(sides)))


def _keep_together(
    splits: npt.NDArray[np.uint8], rows: Indices, groups: Groups, ids: npt.NDArray[np.uint64]
) -> None:
    """Assign each group to the split of its member with the smallest id, in place."""
    if not len(groups):
        return
    members = rows[groups.members]
    of_members = groups.of_members()
    order = np.lexsort((splits[members], ids[members], of_members))
    smallest = members[order[groups.starts[:-1]]]
    splits[members] = splits[smallest][of_members]


def _connect(left: Indices, right: Indices) -> Indices:
    """Return the (n,) connected component of each pair of nodes."""
    num_nodes = int(max(left.max(initial=-1), right.max(initial=-1))) + 1
    return duplicates.group_equal(duplicates.unite(num_nodes, [(left, right)])[left])


def _split_components(
    components: Indices, ids: npt.NDArray[np.uint64], split: SplitConfig
) -> npt.NDArray[np.uint8]:
    """Assign components to splits by the hash of their smallest id.

    Raises:
      DataError: If a split gets less than half of its fraction.
    """
    order = np.lexsort((ids, components))
    first = np.flatnonzero(np.diff(components[order], prepend=-1))
    smallest = ids[order[first]]
    sizes = np.bincount(components)
    of_components = splits_of_ids(smallest, split)
    if not _is_balanced(of_components, sizes, split):
        raise DataError(_describe_imbalance(of_components, sizes, smallest, split))
    return of_components[components]


def _shares(of_components: npt.NDArray[np.uint8], sizes: Indices) -> npt.NDArray[np.float64]:
    pairs = np.bincount(of_components, weights=sizes, minlength=len(SPLITS))
    shares: npt.NDArray[np.float64] = pairs / max(sizes.sum(), 1)
    return shares


def _is_balanced(of_components: npt.NDArray[np.uint8], sizes: Indices, split: SplitConfig) -> bool:
    fractions = np.array([split.train, split.calibration, split.test])
    return bool((_shares(of_components, sizes) >= _MIN_SHARE * fractions).all())


def _describe_imbalance(
    of_components: npt.NDArray[np.uint8],
    sizes: Indices,
    smallest: npt.NDArray[np.uint64],
    split: SplitConfig,
) -> str:
    shares = _shares(of_components, sizes)
    found = ", ".join(f"{name} {share:.1%}" for name, share in zip(SPLITS, shares, strict=True))
    expected = f"{split.train:.1%}, {split.calibration:.1%}, {split.test:.1%}"
    largest = int(sizes.max(initial=0))
    components = "one connected component" if len(sizes) == 1 else f"{len(sizes):,} components"
    text = (
        f"split.by = connected keeps pairs that share an example in one split, but the pairs form "
        f"{components}, and the largest has {largest:,} of "
        f"{sizes.sum():,} pairs ({largest / max(sizes.sum(), 1):.1%}). The splits would have "
        f"{found} of the pairs instead of {expected}. "
    )
    if len(sizes) <= _MAX_TRIED_COMPONENTS:
        for seed in range(_MAX_TRIED_SEEDS):
            other = split.model_copy(update={"seed": seed})
            if _is_balanced(splits_of_ids(smallest, other), sizes, split):
                return text + f"Set split.seed to {seed}, which divides them as expected."
    return text + (
        "Remove the pairs that connect large parts of the data, or add pairs of examples that "
        "occur in no other pair. Alternatively, set split.by to group and data.group to a column "
        "that divides the examples (such as the person or the session), or set split.by to "
        "example: then test examples also occur in training, the metrics are too good, and the "
        "report counts them as leaks."
    )


def _find_leaks(splits: npt.NDArray[np.uint8], nodes: list[Indices]) -> list[Indices]:
    """Return the test rows of which each side is also in training."""
    num_nodes = max(int(side.max(initial=-1)) for side in nodes) + 1
    in_training = np.zeros(num_nodes, bool)
    for side in nodes:
        in_training[side[splits == TRAIN]] = True
    return [np.flatnonzero((splits == TEST) & in_training[side]) for side in nodes]


def _count_pairs(splits: npt.NDArray[np.uint8], nodes: list[Indices]) -> GivenPairs:
    left, right = nodes
    num_nodes = int(max(left.max(initial=-1), right.max(initial=-1))) + 1
    occurs = np.zeros((len(SPLITS), num_nodes), bool)
    for side in nodes:
        occurs[splits, side] = True
    sizes = np.bincount(_connect(left, right)) if len(left) else np.zeros(1, np.int64)
    return GivenPairs(
        num_examples=int(occurs.any(axis=0).sum()),
        num_shared=int((occurs.sum(axis=0) > 1).sum()),
        num_test_examples=int(occurs[TEST].sum()),
        num_components=len(sizes) if len(left) else 0,
        largest_component=int(sizes.max()),
    )
