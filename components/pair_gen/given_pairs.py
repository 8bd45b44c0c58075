"""Batches of data that came in pairs: the two values of ``same`` take the place of the classes.

Nothing is drawn but the order: a batch takes a chunk of same pairs and one of different pairs, in
the ratio asked for. Chunks come from endless sequences of passes, as in ``layout``; a last chunk
that is short is filled up with the first pairs of its pass, so that the ratio stays exact.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.hashing import I64, U64, hash_of
from diptych.components.pair_gen.layout import Layout, Places, Quotas, Segments, place
from diptych.components.pair_gen.sorting import order_by
from diptych.schemas.config.pairs import Pairs, Policy
from diptych.schemas.errors import DataError

_ANCHOR, _NEGATIVE = 31, 32  # what a key is for
_EVERY_PAIR_ONCE = ("natural", "inverse_frequency")


@dataclasses.dataclass(frozen=True)
class PairLayout:
    """Where pairs go.

    Attributes:
      chunks: of different pairs (class 0) and same ones (class 1), or of both as one class.
      counts: (2,) different and same pairs.
    """

    chunks: Layout
    counts: I64

    @property
    def num_batches(self) -> int:
        """Of all rounds."""
        return self.chunks.num_batches


@dataclasses.dataclass(frozen=True)
class PairRows:
    """The distinct examples of each batch, and the pairs as rows of them.

    Attributes:
      batch: of each row; sorted.
      source: of each row, the index of its example among all left ones, then all right ones.
      left, right: rows of each pair.
    """

    batch: I64
    source: I64
    left: I64
    right: I64


def make_pair_layout(counts: I64, settings: Pairs, policy: Policy, rounds: int) -> PairLayout:
    """Lays out pairs in batches of about P * K / 2 of them.

    - ``oversample``: batches as the commoner kind needs for one pass; the rarer goes through
      further passes, at most ``max_repeats`` a round. So every pair is used in every round, unless
      ``max_repeats`` ends the round early; then the next one goes on from there.
    - ``undersample``: batches as the rarer kind needs for one pass; rounds go through the commoner.
    - ``natural`` and ``inverse_frequency``: every pair once a round, in hash order. Alone among all
      policies these keep the ratio of the data, on average, not that of ``settings.ratio``.

    Args:
      counts: (2,) different and same pairs.
      settings, policy, rounds: of the split.

    Raises:
      DataError: too few pairs of a kind for the ratio.
    """
    per_batch = max(settings.classes_per_batch * settings.examples_per_class // 2, 2)
    if policy in _EVERY_PAIR_ONCE:
        total = counts.sum(keepdims=True)
        batches = -(-total // per_batch)
        size = -(-total // np.maximum(batches, 1))
        return _laid_out(counts, (total, size, 0 * total), batches, rounds, settings.seed)

    ratio = settings.different_per_same
    parts = np.array([ratio.numerator, ratio.denominator], np.int64)
    if (counts < parts).any():
        raise DataError(
            f"A ratio of {settings.ratio} (same:different) needs at least {parts[1]} same and "
            f"{parts[0]} different pairs, got {counts[1]} and {counts[0]}. Add pairs of the "
            "kind that lacks, or change pairs.ratio."
        )
    times = max(min(per_batch // int(parts.sum()), int((counts // parts).min())), 1)
    size = parts * times
    per_pass = -(-counts // size)
    batches = per_pass.min(keepdims=True)
    if policy == "oversample":
        batches = np.minimum(per_pass.max(), settings.max_repeats * batches)
    fill = per_pass * size - counts
    return _laid_out(counts, (counts, size, fill), batches, rounds, settings.seed)


def _laid_out(
    counts: I64, kinds: tuple[I64, I64, I64], batches: I64, rounds: int, seed: int
) -> PairLayout:
    """One batch a layer, with a chunk of each kind."""
    sizes, chunk_size, fill = kinds
    number = sizes.size
    per_pass = -(-sizes // np.maximum(chunk_size, 1))
    per_round = np.repeat(batches, number)
    # A kind that is gone through in a round starts the next one afresh, so as to be whole again.
    whole = -(-per_round // np.maximum(per_pass, 1)) * per_pass
    advance = np.where(per_round < per_pass, per_round, whole)
    keys = np.arange(number, dtype=np.uint64)
    amounts = Quotas(keys, sizes, chunk_size, fill, per_pass, per_round, advance)
    nothing, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    segments = Segments(nothing, number * one, nothing, one, one, int(batches[0]), 1, 0)
    return PairLayout(Layout(amounts, segments, np.arange(number), number, rounds, seed), counts)


def place_pairs(layout: PairLayout, same: I64, ranks: I64) -> Places:
    """All places of some pairs, in all rounds.

    Args:
      layout: of the split.
      same: (n,) 1 for a same pair, 0 for a different one.
      ranks: (n,) dense rank among the pairs of its kind, by the hash of its id.
    """
    if layout.chunks.quotas.counts.size == 1:
        return place(layout.chunks, np.zeros_like(same), ranks + same * layout.counts[0])
    return place(layout.chunks, same, ranks)


def pair_weights(counts: I64, policy: Policy) -> npt.NDArray[np.float64]:
    """Weights of different and of same pairs: N / (2 n) under ``inverse_frequency``, or else 1."""
    if policy != "inverse_frequency":
        return np.ones(2)
    weights: npt.NDArray[np.float64] = counts.sum() / (2.0 * np.maximum(counts, 1))
    return weights


def distinct_examples(batch: I64, left_ids: U64, right_ids: U64) -> PairRows:
    """Lists each example of a batch once, by id, and finds the pairs in the list.

    Args:
      batch: (n,) of each pair, sorted.
      left_ids, right_ids: (n, 2) of the examples.
    """
    ids = np.concatenate([left_ids, right_ids])
    batches = np.concatenate([batch, batch])
    order = order_by(batches, ids[:, 0], ids[:, 1])  # stable: the first of equal ones leads
    new = np.ones(order.size, bool)
    new[1:] = (ids[order[1:]] != ids[order[:-1]]).any(axis=1)
    new[1:] |= batches[order[1:]] != batches[order[:-1]]
    rows = np.empty(order.size, np.int64)
    rows[order] = new.cumsum() - 1
    source = order[new]
    return PairRows(batches[source], source, rows[: batch.size], rows[batch.size :])


def pair_triplets(
    rows: PairRows, same: npt.NDArray[np.bool_], seed: int
) -> tuple[I64, I64, I64, I64]:
    """A triplet for each same pair of which one side has a different pair in the batch, too.

    Returns:
      Rows of anchor, positive and negative, and the index of the same pair.
    """
    # Both directions of all different pairs, sorted: the negatives of a row lie together.
    anchors = np.concatenate([rows.left[~same], rows.right[~same]])
    negatives = np.concatenate([rows.right[~same], rows.left[~same]])
    order = order_by(anchors, negatives)
    anchors, negatives = anchors[order], negatives[order]
    amount = np.bincount(anchors, minlength=rows.batch.size)
    first = amount.cumsum() - amount

    pair = np.flatnonzero(same)
    left, right = rows.left[pair], rows.right[pair]
    starts = np.searchsorted(rows.batch, rows.batch[left])
    inside = (rows.batch[left], left - starts, right - starts)
    swap = (hash_of(seed, _ANCHOR, *inside) >> np.uint64(63)).astype(bool)
    swap = np.where((amount[left] > 0) & (amount[right] > 0), swap, amount[right] > 0)
    anchor, positive = np.where(swap, right, left), np.where(swap, left, right)
    kept = amount[anchor] > 0
    anchor, positive, pair = anchor[kept], positive[kept], pair[kept]
    draws = hash_of(seed, _NEGATIVE, *(part[kept] for part in inside))
    nth = (draws % amount[anchor].astype(np.uint64)).astype(np.int64)
    return anchor, positive, negatives[first[anchor] + nth], pair
