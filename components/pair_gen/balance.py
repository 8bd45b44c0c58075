"""Compute how balanced the pairs of a split are, from statistics of its shards.

Sums of weights are integer multiples of 2**-20, so their order does not matter.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.hashing import I64
from diptych.components.pair_gen.partition import KeyCounts, sum_counts
from diptych.components.pair_gen.plan import Plan
from diptych.components.pair_gen.shard import ShardTables
from diptych.schemas.balance import ClassBalance, SplitBalance, Spread
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.errors import DataError
from diptych.schemas.shards import POSITIVE

_WEIGHT_UNIT = 2.0**-20
_RANGE_BITS = 20  # examples whose coverage one worker counts at a time: a 1 MB mask
U32 = npt.NDArray[np.uint32]


@dataclasses.dataclass(frozen=True)
class ShardStats:
    """Statistics of one or more shards.

    Attributes:
      manifest_counts: Result of ``write_shard`` for each shard.
      pairs_per_class: Number of pairs of each class that is in any.
      weight_per_class: Sum of their weights, in units of 2**-20.
      max_repeats: Maximum number of slots of an example in a round.
    """

    manifest_counts: tuple[dict[str, int], ...]
    pairs_per_class: KeyCounts
    weight_per_class: KeyCounts
    max_repeats: int


def compute_shard_stats(tables: ShardTables, manifest_counts: dict[str, int]) -> ShardStats:
    """Compute the statistics of one shard."""
    left, right, same, weight = (
        tables.pairs.column(name).to_numpy() for name in ("left", "right", "same", "weight")
    )
    is_negative = same == 0
    class_index = tables.class_index[np.concatenate([left, right[is_negative]])]
    pair_counts = np.bincount(class_index)
    classes = np.flatnonzero(pair_counts)
    weights = np.bincount(class_index, np.concatenate([weight, weight[is_negative]]))[classes]
    keys = classes.astype(np.uint64)
    units = np.rint(weights / _WEIGHT_UNIT).astype(np.int64)
    return ShardStats(
        (manifest_counts,), (keys, pair_counts[classes]), (keys, units), tables.repeats
    )


def sum_shard_stats(parts: Iterable[ShardStats]) -> ShardStats:
    """Combine the statistics of several shards."""
    all_parts = list(parts)
    return ShardStats(
        tuple(counts for part in all_parts for counts in part.manifest_counts),
        sum_counts(part.pairs_per_class for part in all_parts),
        sum_counts(part.weight_per_class for part in all_parts),
        max((part.max_repeats for part in all_parts), default=0),
    )


def split_by_range(covered: I64) -> list[tuple[int, U32]]:
    """Split sorted indices into ranges of 2**20; returns range numbers and offsets in the range."""
    ranges = covered >> _RANGE_BITS
    numbers, starts = np.unique(ranges, return_index=True)
    inside = (covered - (ranges << _RANGE_BITS)).astype(np.uint32)
    parts = np.split(inside, starts)[1:]  # the first part precedes all ranges
    return list(zip(numbers.tolist(), parts, strict=True))


def count_unique_in_range(group: tuple[int, Iterable[U32]]) -> int:
    """Count the distinct indices in a range."""
    seen = np.zeros(2**_RANGE_BITS, bool)
    for inside in group[1]:
        seen[inside] = True
    return int(seen.sum())


def make_balance(
    plan: Plan, stats: ShardStats, num_examples: int, num_covered: int
) -> SplitBalance:
    """Build the balance report of a split.

    Args:
      plan: Plan of the split.
      stats: Statistics of all shards.
      num_examples: Number of distinct examples.
      num_covered: Number of examples, or given pairs, that are in a pair.
    """
    positives, negatives, num_slots = (
        sum(counts[name] for counts in stats.manifest_counts)
        for name in ("num_positive", "num_negative", "num_rows")
    )
    total, rounds = int(plan.counts.sum()), plan.chunk_layout.rounds
    return SplitBalance(
        split=plan.split,
        sampling=plan.sampling,
        rounds=rounds,
        num_examples=num_examples,
        num_given_pairs=total if plan.paired else None,
        num_positive=positives,
        num_negative=negatives,
        num_distinct_positive=_count_distinct_positive(plan),
        negatives_per_positive=negatives / max(positives, 1),
        repeats_mean=(positives + negatives if plan.paired else num_slots) / (rounds * total),
        repeats_max=stats.max_repeats,
        coverage=num_covered / total,
        num_uncovered=total - num_covered,
        classes=None if plan.paired else _make_class_balance(plan.counts, stats),
        notes=plan.warnings,
    )


def _count_distinct_positive(plan: Plan) -> int:
    """Count the positive pairs that the examples of a split can form, or that are given."""
    if plan.paired:
        return int(plan.counts[POSITIVE])
    counts = plan.counts.astype(object)  # of any size
    return int((counts * (counts - 1) // 2).sum())


def check_pair_counts(balance: SplitBalance, settings: PairsConfig) -> None:
    """Raise DataError if a split has no pairs because no batch has enough for the ratio.

    The configured batch size permits the ratio, but the batches of these data are smaller.
    """
    if balance.num_positive == 0 or balance.num_negative == 0:
        raise DataError(
            f"The {balance.split} split has no pairs: no batch has enough candidates for a ratio "
            f"of {settings.ratio} (positive:negative). Change pairs.ratio, raise "
            "pairs.examples_per_class, give the split a larger fraction "
            f"(split.{balance.split}), or add examples."
        )


def _make_class_balance(counts: I64, stats: ShardStats) -> ClassBalance:
    pairs, weights = np.zeros_like(counts), np.zeros_like(counts)
    for sums, (keys, values) in ((pairs, stats.pairs_per_class), (weights, stats.weight_per_class)):
        sums[keys.astype(np.int64)] = values
    return ClassBalance(
        num_classes=counts.size,
        num_singletons=int((counts == 1).sum()),
        num_uncovered=int((pairs == 0).sum()),
        examples=_make_spread(counts),
        pairs=_make_spread(pairs),
        weight=_make_spread(weights * _WEIGHT_UNIT),
    )


def _make_spread(values: npt.NDArray[Any]) -> Spread:
    return Spread(min=values.min().item(), median=float(np.median(values)), max=values.max().item())
