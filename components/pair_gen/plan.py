"""What is settled once the classes of a split are counted: quotas, places, weights, partitions."""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.given_pairs import (
    PairLayout,
    make_pair_layout,
    pair_weights,
    place_pairs,
)
from diptych.components.pair_gen.hashing import I64, U64, hash_of
from diptych.components.pair_gen.layout import (
    Layout,
    Places,
    class_weights,
    make_layout,
    place,
    quotas,
)
from diptych.components.pair_gen.plan_warnings import notes_of
from diptych.components.pair_gen.rows import row_bytes
from diptych.components.pair_gen.similarity_ordering import Centroids, lines
from diptych.schemas.config.pairs import Pairs, Policy
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Inputs

_LINES = 4  # what a key is for; those of the layout are below it
PARTITION_BYTES = 64 * 2**20  # of rows sorted together, at most; a worker holds a few times that
SHARD_BYTES = 128 * 2**20  # of the rows of a shard, roughly


@dataclasses.dataclass(frozen=True)
class Partitions:
    """How rows are divided to be sorted; a function of the counts alone.

    Attributes:
      first: of each class: its first partition.
      ranges: of each class: the partitions it takes, by the hash of the id. A class with more
        than one shares them with no other.
      total: number of partitions.
    """

    first: I64
    ranges: I64
    total: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that the workers need to know of a split; arrays have one entry a class.

    Where data came in pairs, class 0 is the different pairs and class 1 the same ones.
    """

    split: str
    policy: Policy
    keys: U64
    counts: I64
    layout: Layout | PairLayout
    weights: npt.NDArray[np.float64]
    partitions: Partitions
    num_shards: int
    notes: tuple[str, ...]

    @property
    def paired(self) -> bool:
        """Whether the data came in pairs."""
        return isinstance(self.layout, PairLayout)

    @property
    def chunks(self) -> Layout:
        """Of classes, or of the two kinds of pairs."""
        return _chunks(self.layout)

    def classes_of(self, keys: U64) -> I64:
        """Index of each key's class."""
        return np.searchsorted(self.keys, keys).astype(np.int64)

    def partitions_of(self, classes: I64, hashes: U64) -> I64:
        """Partition of each row."""
        parts = self.partitions
        return parts.first[classes] + _range(hashes, parts.ranges[classes])

    def places_of(self, classes: I64, ranks: I64) -> Places:
        """All places of each row."""
        if isinstance(self.layout, PairLayout):
            return place_pairs(self.layout, classes, ranks)
        return place(self.layout, classes, ranks)

    @property
    def most_places(self) -> int:
        """Places of a row, at most."""
        amounts = self.chunks.quotas
        return self.chunks.rounds * int((-(-amounts.rows // amounts.counts)).max(initial=1))

    def first_ranks(self, partition: int, sizes: I64) -> I64:
        """Rank of each class's first row in a partition, given the sizes of all partitions."""
        parts = self.partitions
        before = np.concatenate([np.zeros(1, np.int64), sizes.cumsum()])
        ranks = before[partition] - before[np.minimum(parts.first, partition)]
        own = (parts.first <= partition) & (partition < parts.first + parts.ranges)
        return np.where(own, ranks, 0)


def make_plan(
    split: str,
    keys: U64,
    counts: I64,
    settings: Pairs,
    inputs: Inputs,
    centroids: Centroids | None = None,
) -> Plan:
    """Plans a split.

    Args:
      split: train, calibration or test; the last two follow the policy for evaluation.
      keys: of the classes, sorted.
      counts: of their examples.
      settings, inputs: of the run.
      centroids: where classes that lie close shall share batches; None: they meet at random.

    Raises:
      DataError: no same or no different pairs could be drawn.
    """
    training = split == "train"
    policy = settings.policy if training else settings.evaluation_policy
    rounds = settings.rounds if training else settings.evaluation_rounds
    layout: Layout | PairLayout
    if inputs.paired:
        counts = np.array([int(counts[keys == kind].sum()) for kind in (0, 1)], np.int64)
        keys = np.arange(2, dtype=np.uint64)
        _check_kinds(split, counts)
        layout = make_pair_layout(counts, settings, policy, rounds)
        weights = pair_weights(counts, policy)
    else:
        _check_classes(split, counts)
        amounts = quotas(keys, counts, settings, policy)
        neighbours = None
        if centroids is not None:
            neighbours = lines(keys, centroids, rounds, hash_of(settings.seed, _LINES))
        layout = make_layout(amounts, settings, rounds, neighbours)
        weights = class_weights(amounts, policy)
    rows = max(PARTITION_BYTES // row_bytes(inputs), 1)
    partitions = make_partitions(counts, rows)
    num_shards = _num_shards(layout, settings, row_bytes(inputs))
    notes = notes_of(layout, settings, policy)
    return Plan(split, policy, keys, counts, layout, weights, partitions, num_shards, notes)


def _chunks(layout: Layout | PairLayout) -> Layout:
    return layout.chunks if isinstance(layout, PairLayout) else layout


def _num_shards(layout: Layout | PairLayout, settings: Pairs, row: int) -> int:
    """As many as asked for, or a multiple that keeps each small enough for a worker's memory."""
    placed = int(_chunks(layout).quotas.rows.sum()) * _chunks(layout).rounds
    return settings.num_shards * max(-(-placed * row // (settings.num_shards * SHARD_BYTES)), 1)


def make_partitions(counts: I64, cap: int) -> Partitions:
    """Divides the rows into partitions of at most ``cap`` of them.

    Small classes fill partitions one after the other, each to half the cap, where the class that
    reaches it is the last. Large ones are cut in equal ranges of hashes, of half the cap or less
    on average: the chance that one of them holds twice that is below (e / 4)**(cap / 2), by
    Chernoff's bound, so 10**-16 for a cap of 200 rows.
    """
    half = max(cap // 2, 1)
    ranges = -(-counts // half)
    small, large = np.where(ranges == 1, counts, 0), np.where(ranges == 1, 0, ranges)
    shared = (small.cumsum() - small) // half
    total_shared = int(shared[small > 0].max(initial=-1)) + 1
    first = np.where(ranges == 1, shared, total_shared + large.cumsum() - large)
    return Partitions(first, ranges, total_shared + int(large.sum()))


def _range(hashes: U64, number: I64) -> I64:
    """Which of ``number`` equal ranges of uint64 each hash is in."""
    high = hashes >> np.uint64(32)
    return ((high * number.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def _check_classes(split: str, counts: I64) -> None:
    usable = int((counts >= 2).sum())
    got = f"got {usable} (and {int((counts == 1).sum())} with one)"
    if split == "train" and usable < 2:
        raise DataError(
            f"Pairs need at least 2 classes with 2 examples each in the training split, {got}. "
            "Check the label column, or add examples."
        )
    if usable < 1 or counts.size < 2:
        raise DataError(
            f"The {split} split needs at least 2 classes, one of them with 2 examples, {got}. "
            f"Give it a larger share (split.{split}), add examples, or try another split.seed."
        )


def _check_kinds(split: str, counts: I64) -> None:
    if (counts == 0).any():
        raise DataError(
            f"The {split} split needs same and different pairs, got {counts[1]} and {counts[0]}. "
            f"Check data.same_value, give the split a larger share (split.{split}), "
            "or try another split.seed."
        )
