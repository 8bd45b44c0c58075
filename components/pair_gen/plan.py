"""Plan a split once its classes are counted: quotas, slots, weights and partitions."""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.given_pairs import (
    PairLayout,
    assign_pair_slots,
    compute_pair_weights,
    make_pair_layout,
)
from diptych.components.pair_gen.hashing import I64, U64, hash_integers
from diptych.components.pair_gen.layout import (
    Layout,
    Slots,
    assign_slots,
    compute_class_weights,
    compute_quotas,
    make_layout,
)
from diptych.components.pair_gen.plan_warnings import find_plan_warnings
from diptych.components.pair_gen.rows import estimate_row_bytes
from diptych.components.pair_gen.similarity_ordering import CentroidPoints, similarity_orderings
from diptych.schemas.config.pairs import PairsConfig, Sampling
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import InputSpec

_ORDERING = 4  # purpose of the hashed key; layout.py uses 1 to 3
PARTITION_BYTES = 64 * 2**20  # limit of a partition; a worker holds a few times that
SHARD_BYTES = 128 * 2**20  # approximate limit of a shard's rows


@dataclasses.dataclass(frozen=True)
class Partitions:
    """Division of rows into partitions for sorting; depends on the class sizes only.

    Attributes:
      first_partition: First partition of each class.
      num_ranges: Number of partitions of each class, by the hash of the id. A class with more than
        one does not share them.
      num_partitions: Total number of partitions.
    """

    first_partition: I64
    num_ranges: I64
    num_partitions: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that workers need to process a split; arrays have one entry per class.

    For given pairs, class 0 is the negative pairs and class 1 the positive pairs.
    """

    split: str
    sampling: Sampling
    keys: U64
    counts: I64
    layout: Layout | PairLayout
    weights: npt.NDArray[np.float64]
    partitions: Partitions
    num_shards: int
    warnings: tuple[str, ...]

    @property
    def paired(self) -> bool:
        """True for given pairs."""
        return isinstance(self.layout, PairLayout)

    @property
    def chunk_layout(self) -> Layout:
        """Layout of the classes, or of the two kinds of given pairs."""
        return _chunk_layout(self.layout)

    def find_classes(self, keys: U64) -> I64:
        """Return the class index of each key."""
        return np.searchsorted(self.keys, keys).astype(np.int64)

    def find_partitions(self, classes: I64, hashes: U64) -> I64:
        """Return the partition of each row."""
        partitions = self.partitions
        return partitions.first_partition[classes] + _hash_range(
            hashes, partitions.num_ranges[classes]
        )

    def assign_slots(self, classes: I64, ranks: I64) -> Slots:
        """Return all slots of the rows."""
        if isinstance(self.layout, PairLayout):
            return assign_pair_slots(self.layout, classes, ranks)
        return assign_slots(self.layout, classes, ranks)

    @property
    def max_slots_per_row(self) -> int:
        """Upper bound for the number of slots of a row."""
        quotas = self.chunk_layout.quotas
        return self.chunk_layout.rounds * int((-(-quotas.rows // quotas.counts)).max(initial=1))

    def first_ranks(self, partition: int, sizes: I64) -> I64:
        """Return the rank of each class's first row in a partition, given all partition sizes."""
        partitions = self.partitions
        rows_before = np.concatenate([np.zeros(1, np.int64), sizes.cumsum()])
        ranks = (
            rows_before[partition] - rows_before[np.minimum(partitions.first_partition, partition)]
        )
        starts_here = (partitions.first_partition <= partition) & (
            partition < partitions.first_partition + partitions.num_ranges
        )
        return np.where(starts_here, ranks, 0)


def make_plan(
    split: str,
    keys: U64,
    counts: I64,
    settings: PairsConfig,
    inputs: InputSpec,
    centroids: CentroidPoints | None = None,
) -> Plan:
    """Plan a split.

    Args:
      split: train, calibration or test; the last two use the sampling for evaluation.
      keys: Keys of the classes, sorted.
      counts: Examples of each class.
      settings, inputs: Settings of the run.
      centroids: Centroids by which similar classes share batches. None: random batches.

    Raises:
      DataError: If the split has no positive or no negative pairs.
    """
    training = split == "train"
    sampling = settings.sampling if training else settings.evaluation_sampling
    rounds = settings.rounds if training else settings.evaluation_rounds
    layout: Layout | PairLayout
    if inputs.paired:
        counts = np.array([int(counts[keys == label].sum()) for label in (0, 1)], np.int64)
        keys = np.arange(2, dtype=np.uint64)
        _check_given_pair_counts(split, counts)
        layout = make_pair_layout(counts, settings, sampling, rounds)
        weights = compute_pair_weights(counts, sampling)
    else:
        _check_class_counts(split, counts)
        quotas = compute_quotas(keys, counts, settings, sampling)
        orderings = None
        if centroids is not None:
            orderings = similarity_orderings(
                keys, centroids, rounds, hash_integers(settings.seed, _ORDERING)
            )
        layout = make_layout(quotas, settings, rounds, orderings)
        weights = compute_class_weights(quotas, sampling)
    rows = max(PARTITION_BYTES // estimate_row_bytes(inputs), 1)
    partitions = make_partitions(counts, rows)
    num_shards = _choose_num_shards(layout, settings, estimate_row_bytes(inputs))
    warnings = find_plan_warnings(layout, settings, sampling)
    return Plan(split, sampling, keys, counts, layout, weights, partitions, num_shards, warnings)


def _chunk_layout(layout: Layout | PairLayout) -> Layout:
    return layout.chunk_layout if isinstance(layout, PairLayout) else layout


def _choose_num_shards(
    layout: Layout | PairLayout, settings: PairsConfig, bytes_per_row: int
) -> int:
    """Return the configured number of shards, or a multiple that fits a worker's memory."""
    num_slots = int(_chunk_layout(layout).quotas.rows.sum()) * _chunk_layout(layout).rounds
    return settings.num_shards * max(
        -(-num_slots * bytes_per_row // (settings.num_shards * SHARD_BYTES)), 1
    )


def make_partitions(counts: I64, max_rows: int) -> Partitions:
    """Divide the rows into partitions of at most ``max_rows`` rows.

    Small classes share partitions. A partition takes classes until it reaches half the limit. Large
    classes are split into equal ranges of hashes with at most half the limit on average. By
    Chernoff's bound, the probability that a range has twice as many rows is below
    ``(e / 4)**(max_rows / 2)``: 10**-16 for a limit of 200 rows.
    """
    half_size = max(max_rows // 2, 1)
    num_ranges = -(-counts // half_size)
    small, large = np.where(num_ranges == 1, counts, 0), np.where(num_ranges == 1, 0, num_ranges)
    shared = (small.cumsum() - small) // half_size
    total_shared = int(shared[small > 0].max(initial=-1)) + 1
    first_partition = np.where(num_ranges == 1, shared, total_shared + large.cumsum() - large)
    return Partitions(first_partition, num_ranges, total_shared + int(large.sum()))


def _hash_range(hashes: U64, num_ranges: I64) -> I64:
    """Return which of ``num_ranges`` equal ranges of uint64 contains each hash."""
    high = hashes >> np.uint64(32)
    return ((high * num_ranges.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def _check_class_counts(split: str, counts: I64) -> None:
    usable = int((counts >= 2).sum())
    got = f"got {usable} (and {int((counts == 1).sum())} with one example)"
    if split == "train" and usable < 2:
        raise DataError(
            f"Pairs need at least 2 classes with 2 examples each in the training split, {got}. "
            "Check the label column, or add examples."
        )
    if usable < 1 or counts.size < 2:
        raise DataError(
            f"The {split} split needs at least 2 classes, one of them with 2 examples, {got}. "
            f"Give it a larger fraction (split.{split}), add examples, or try another split.seed."
        )


def _check_given_pair_counts(split: str, counts: I64) -> None:
    if (counts == 0).any():
        raise DataError(
            f"The {split} split needs positive and negative pairs, got {counts[1]} and "
            f"{counts[0]}. Check data.same_value, give the split a larger fraction "
            f"(split.{split}), or try another split.seed."
        )
