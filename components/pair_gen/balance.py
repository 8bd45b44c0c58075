"""How balanced a split came out, from what its shards make use of.

Sums of weights are whole numbers of 2**-20: added up in any order, they are the same.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.hashing import I64
from diptych.components.pair_gen.partition import Counts, sum_counts
from diptych.components.pair_gen.plan import Plan
from diptych.components.pair_gen.shard import Tables
from diptych.schemas.balance import ClassBalance, SplitBalance, Spread
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.errors import DataError

_WEIGHT_UNIT = 2.0**-20
_RANGE_BITS = 20  # of the examples whose use is gathered at one place: 128 kB as bits
U32 = npt.NDArray[np.uint32]


@dataclasses.dataclass(frozen=True)
class Use:
    """What some shards hold, and what their pairs make use of.

    Attributes:
      stats: what ``write_shard`` returned, of each shard.
      pairs: of each class that is in any, by its index.
      weights: of these pairs, in units of 2**-20.
      repeats: most places of an example in a round.
    """

    stats: tuple[dict[str, int], ...]
    pairs: Counts
    weights: Counts
    repeats: int


def use_of(tables: Tables, stats: dict[str, int]) -> Use:
    """The use of one shard."""
    left, right, same, weight = (
        tables.pairs.column(name).to_numpy() for name in ("left", "right", "same", "weight")
    )
    apart = same == 0
    kinds = tables.kinds[np.concatenate([left, right[apart]])]
    amounts = np.bincount(kinds)
    classes = np.flatnonzero(amounts)
    weights = np.bincount(kinds, np.concatenate([weight, weight[apart]]))[classes]
    keys = classes.astype(np.uint64)
    units = np.rint(weights / _WEIGHT_UNIT).astype(np.int64)
    return Use((stats,), (keys, amounts[classes]), (keys, units), tables.repeats)


def sum_uses(parts: Iterable[Use]) -> Use:
    """Adds up the use of several shards."""
    uses = list(parts)
    return Use(
        tuple(stats for use in uses for stats in use.stats),
        sum_counts(use.pairs for use in uses),
        sum_counts(use.weights for use in uses),
        max((use.repeats for use in uses), default=0),
    )


def by_range(covered: I64) -> list[tuple[int, U32]]:
    """Cuts sorted indexes into ranges of 2**20: number of the range, and indexes inside it."""
    ranges = covered >> _RANGE_BITS
    numbers, starts = np.unique(ranges, return_index=True)
    inside = (covered - (ranges << _RANGE_BITS)).astype(np.uint32)
    parts = np.split(inside, starts)[1:]  # the first lies before all ranges
    return list(zip(numbers.tolist(), parts, strict=True))


def count_covered(group: tuple[int, Iterable[U32]]) -> int:
    """How many different indexes there are in a range."""
    seen = np.zeros(2**_RANGE_BITS, bool)
    for inside in group[1]:
        seen[inside] = True
    return int(seen.sum())


def make_balance(plan: Plan, use: Use, num_examples: int, num_covered: int) -> SplitBalance:
    """The report of a split.

    Args:
      plan: of the split.
      use: of all shards.
      num_examples: distinct ones.
      num_covered: examples, or pairs that came, that are in a pair.
    """
    same, different, placed = (
        sum(stats[name] for stats in use.stats)
        for name in ("num_same", "num_different", "num_placed")
    )
    total, rounds = int(plan.counts.sum()), plan.chunks.rounds
    return SplitBalance(
        split=plan.split,
        policy=plan.policy,
        rounds=rounds,
        num_examples=num_examples,
        num_given_pairs=total if plan.paired else None,
        num_same=same,
        num_different=different,
        different_per_same=different / max(same, 1),
        repeats_mean=(same + different if plan.paired else placed) / (rounds * total),
        repeats_max=use.repeats,
        coverage=num_covered / total,
        num_uncovered=total - num_covered,
        classes=None if plan.paired else _of_classes(plan.counts, use),
        notes=plan.notes,
    )


def check_pairs(balance: SplitBalance, settings: Pairs) -> None:
    """Raises DataError if no batch has enough pairs for the ratio, so that there are none at all.

    The batches that the configuration asks for could; those of the data are smaller.
    """
    if balance.num_same == 0 or balance.num_different == 0:
        raise DataError(
            f"The {balance.split} split gives no pairs: a ratio of {settings.ratio} "
            "(same:different) needs more of them than any of its batches has. Choose another "
            f"pairs.ratio, raise pairs.examples_per_class, give the split a larger share "
            f"(split.{balance.split}), or add examples."
        )


def _of_classes(counts: I64, use: Use) -> ClassBalance:
    pairs, weights = np.zeros_like(counts), np.zeros_like(counts)
    for sums, (keys, amounts) in ((pairs, use.pairs), (weights, use.weights)):
        sums[keys.astype(np.int64)] = amounts
    return ClassBalance(
        num_classes=counts.size,
        num_singletons=int((counts == 1).sum()),
        num_uncovered=int((pairs == 0).sum()),
        examples=_spread(counts),
        pairs=_spread(pairs),
        weight=_spread(weights * _WEIGHT_UNIT),
    )


def _spread(amounts: npt.NDArray[Any]) -> Spread:
    return Spread(
        min=amounts.min().item(), median=float(np.median(amounts)), max=amounts.max().item()
    )
