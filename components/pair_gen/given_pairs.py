"""Lay out batches of given pairs: the two values of ``same`` replace the classes.

Only the order is random. A batch takes one chunk of positive pairs and one of negative pairs, in
the configured ratio. Chunks come from endless sequences of passes, as in ``layout``. If the last
chunk of a pass is short, the first pairs of the pass complete it, so that the ratio stays exact.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.hashing import I64, U64, hash_integers
from diptych.components.pair_gen.layout import ClassQuotas, Layout, Segments, Slots, assign_slots
from diptych.components.pair_gen.sorting import argsort_columns
from diptych.schemas.config.pairs import PairsConfig, Sampling
from diptych.schemas.errors import DataError

_ANCHOR, _NEGATIVE = 31, 32  # purposes of the hashed keys
_EVERY_PAIR_ONCE = ("natural", "inverse_frequency")


@dataclasses.dataclass(frozen=True)
class PairLayout:
    """Layout of given pairs in batches.

    Attributes:
      chunk_layout: Layout of negative pairs (class 0) and positive pairs (class 1), or of both as
        one class.
      counts: (2,) numbers of negative and positive pairs.
    """

    chunk_layout: Layout
    counts: I64

    @property
    def num_batches(self) -> int:
        """Number of batches in all rounds."""
        return self.chunk_layout.num_batches


@dataclasses.dataclass(frozen=True)
class IndexedPairs:
    """The distinct examples of each batch, and the pairs as rows of these examples.

    Attributes:
      batch: Batch of each row, sorted.
      source: Index of each row's example, among all left examples followed by all right examples.
      left, right: Rows of each pair.
    """

    batch: I64
    source: I64
    left: I64
    right: I64


def make_pair_layout(
    counts: I64, settings: PairsConfig, sampling: Sampling, rounds: int
) -> PairLayout:
    """Lay out pairs in batches of about P * K / 2 pairs.

    - ``oversample``: the number of batches that one pass over the more common kind needs. The rarer
      kind takes further passes, at most ``max_repeats`` per round. Every round therefore uses every
      pair, unless ``max_repeats`` ends the round early; the next round then continues from there.
    - ``undersample``: the number of batches that one pass over the rarer kind needs. Successive
      rounds advance through the more common kind.
    - ``natural`` and ``inverse_frequency``: every pair once per round, in hash order. Unlike the
      other samplings, these keep the ratio of the data, on average, instead of ``settings.ratio``.

    Args:
      counts: (2,) numbers of negative and positive pairs.
      settings, sampling, rounds: Settings of the split.

    Raises:
      DataError: If a kind has too few pairs for the ratio.
    """
    per_batch = max(settings.classes_per_batch * settings.examples_per_class // 2, 2)
    if sampling in _EVERY_PAIR_ONCE:
        total = counts.sum(keepdims=True)
        batches = -(-total // per_batch)
        size = -(-total // np.maximum(batches, 1))
        return _lay_out_kinds(counts, (total, size, 0 * total), batches, rounds, settings.seed)

    ratio = settings.negatives_per_positive
    parts = np.array([ratio.numerator, ratio.denominator], np.int64)
    if (counts < parts).any():
        raise DataError(
            f"A ratio of {settings.ratio} (positive:negative) needs at least {parts[1]} "
            f"positive and {parts[0]} negative pairs, got {counts[1]} and {counts[0]}. "
            "Add the missing pairs, or change pairs.ratio."
        )
    multiple = max(min(per_batch // int(parts.sum()), int((counts // parts).min())), 1)
    size = parts * multiple
    chunks_per_pass = -(-counts // size)
    batches = chunks_per_pass.min(keepdims=True)
    if sampling == "oversample":
        batches = np.minimum(chunks_per_pass.max(), settings.max_repeats * batches)
    padding = chunks_per_pass * size - counts
    return _lay_out_kinds(counts, (counts, size, padding), batches, rounds, settings.seed)


def _lay_out_kinds(
    counts: I64, kinds: tuple[I64, I64, I64], batches: I64, rounds: int, seed: int
) -> PairLayout:
    """Lay out one batch per layer, with a chunk of each kind."""
    sizes, chunk_size, padding = kinds
    num_kinds = sizes.size
    chunks_per_pass = -(-sizes // np.maximum(chunk_size, 1))
    chunks_per_round = np.repeat(batches, num_kinds)
    # A kind that a round uses completely starts the next round with a new, complete pass.
    full_passes = -(-chunks_per_round // np.maximum(chunks_per_pass, 1)) * chunks_per_pass
    round_stride = np.where(chunks_per_round < chunks_per_pass, chunks_per_round, full_passes)
    keys = np.arange(num_kinds, dtype=np.uint64)
    quotas = ClassQuotas(
        keys, sizes, chunk_size, padding, chunks_per_pass, chunks_per_round, round_stride
    )
    zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    segments = Segments(zero, num_kinds * one, zero, one, one, int(batches[0]), 1, 0)
    return PairLayout(
        Layout(quotas, segments, np.arange(num_kinds), num_kinds, rounds, seed), counts
    )


def assign_pair_slots(layout: PairLayout, same: I64, ranks: I64) -> Slots:
    """Return all slots of the given pairs, in all rounds.

    Args:
      layout: Layout of the split.
      same: (n,) 1 for a positive pair, 0 for a negative one.
      ranks: (n,) dense rank among the pairs of the same kind, by the hash of the id.
    """
    if layout.chunk_layout.quotas.counts.size == 1:
        return assign_slots(
            layout.chunk_layout, np.zeros_like(same), ranks + same * layout.counts[0]
        )
    return assign_slots(layout.chunk_layout, same, ranks)


def compute_pair_weights(counts: I64, sampling: Sampling) -> npt.NDArray[np.float64]:
    """Compute the weights of negative and of positive pairs.

    N / (2 n) for ``inverse_frequency``, 1 otherwise.
    """
    if sampling != "inverse_frequency":
        return np.ones(2)
    weights: npt.NDArray[np.float64] = counts.sum() / (2.0 * np.maximum(counts, 1))
    return weights


def list_unique_examples(batch: I64, left_ids: U64, right_ids: U64) -> IndexedPairs:
    """List each example of a batch once, by id, and index the pairs into the list.

    Args:
      batch: (n,) batch of each pair, sorted.
      left_ids, right_ids: (n, 2) ids of the examples.
    """
    ids = np.concatenate([left_ids, right_ids])
    batches = np.concatenate([batch, batch])
    order = argsort_columns(batches, ids[:, 0], ids[:, 1])  # stable: the first of equal ids leads
    new = np.ones(order.size, bool)
    new[1:] = (ids[order[1:]] != ids[order[:-1]]).any(axis=1)
    new[1:] |= batches[order[1:]] != batches[order[:-1]]
    rows = np.empty(order.size, np.int64)
    rows[order] = new.cumsum() - 1
    source = order[new]
    return IndexedPairs(batches[source], source, rows[: batch.size], rows[batch.size :])


def sample_pair_triplets(
    rows: IndexedPairs, same: npt.NDArray[np.bool_], seed: int
) -> tuple[I64, I64, I64, I64]:
    """Sample a triplet for each positive pair with a side that is also in a negative pair.

    Both pairs are in the same batch.

    Returns:
      Rows of anchor, positive and negative, and the index of the positive pair.
    """
    # Both directions of all negative pairs, sorted: the negatives of a row are contiguous.
    anchors = np.concatenate([rows.left[~same], rows.right[~same]])
    negatives = np.concatenate([rows.right[~same], rows.left[~same]])
    order = argsort_columns(anchors, negatives)
    anchors, negatives = anchors[order], negatives[order]
    num_negatives = np.bincount(anchors, minlength=rows.batch.size)
    first = num_negatives.cumsum() - num_negatives

    pair = np.flatnonzero(same)
    left, right = rows.left[pair], rows.right[pair]
    starts = np.searchsorted(rows.batch, rows.batch[left])
    pair_in_batch = (rows.batch[left], left - starts, right - starts)
    swap = (hash_integers(seed, _ANCHOR, *pair_in_batch) >> np.uint64(63)).astype(bool)
    swap = np.where(
        (num_negatives[left] > 0) & (num_negatives[right] > 0), swap, num_negatives[right] > 0
    )
    anchor, positive = np.where(swap, right, left), np.where(swap, left, right)
    kept = num_negatives[anchor] > 0
    anchor, positive, pair = anchor[kept], positive[kept], pair[kept]
    hashes = hash_integers(seed, _NEGATIVE, *(part[kept] for part in pair_in_batch))
    nth = (hashes % num_negatives[anchor].astype(np.uint64)).astype(np.int64)
    return anchor, positive, negatives[first[anchor] + nth], pair
