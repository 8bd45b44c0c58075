"""Map class sizes to the slots of examples in P x K batches.

Each class has an endless *sequence of chunks*. Every pass 0, 1, 2 ... over the class is a new keyed
permutation of its examples, cut into chunks of K. If the last chunk of a pass is short, the first
examples of the same pass complete it (*padding* rows). A class smaller than K is one chunk per
pass, without padding. A chunk therefore never contains an example twice, and a pass contains each
example once, not counting padding.

A round takes a number of chunks from each class, which depends on the sampling. Chunk j of a class
lies in *layer* j of the round, so layer j contains every class with more than j chunks, once each.
A keyed permutation orders the classes of a layer; on request, every other layer follows an
ordering by similarity instead (see ``class_ordering``). A layer is cut into batches of at least P
classes. Where fewer than P classes remain, several layers form one batch. The chunks of a class
that remains alone have no negative pairs, so they join the other batches of the round in turn, at
most P per batch. Any chunks left after that produce no pairs, and ``plan_warnings`` reports them.

Everything is arithmetic on the table of classes: the slots of a row follow from its class and its
rank within the class, on whichever worker the row is.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.class_ordering import ClassOrdering
from diptych.components.pair_gen.hashing import I64, U64, hash_integers, permute
from diptych.components.pair_gen.sorting import unique_inverse
from diptych.schemas.config.pairs import PairsConfig, Sampling

_PASS, _LAYER, _BATCH = 1, 2, 3  # purposes of the hashed keys
# Every other layer follows the similarity ordering. A model trained on neighbours alone would embed
# classes that never share a batch in the same region.
_ORDERED_LAYER_INTERVAL = 2


@dataclasses.dataclass(frozen=True)
class ClassQuotas:
    """The contribution of each class to every round; one entry per class.

    Attributes:
      keys: Hashes of the labels.
      counts: Number of examples.
      chunk_size: K, or less where the sampling lowers it.
      padding: Rows that complete the last chunk of a pass.
      chunks_per_pass: Number of chunks in one pass.
      chunks_per_round: Number of chunks in one round.
      round_stride: Number of chunks between the starts of two consecutive rounds.
    """

    keys: U64
    counts: I64
    chunk_size: I64
    padding: I64
    chunks_per_pass: I64
    chunks_per_round: I64
    round_stride: I64

    @property
    def rows(self) -> I64:
        """Number of slots per round, including those that padding may occupy."""
        return self.chunks_per_round * np.minimum(self.counts, self.chunk_size)


@dataclasses.dataclass(frozen=True)
class Segments:
    """Consecutive layers with the same classes; one entry per segment.

    Attributes:
      first_layer: First layer of the segment.
      num_classes: Classes with a chunk in each layer of the segment.
      first_batch: First batch of the segment, numbered within a round before batches are permuted.
      batches_per_layer: Batches that a layer is cut into; 0 where layers are merged.
      layers_per_batch: Layers that are merged into one batch.
      num_batches: Batches of a round.
      max_joining: Maximum number of chunks of a class that remains alone that join each of the
        preceding batches.
      num_unpaired: Chunks that remain even then, in batches without other classes.
    """

    first_layer: I64
    num_classes: I64
    first_batch: I64
    batches_per_layer: I64
    layers_per_batch: I64
    num_batches: int
    max_joining: int
    num_unpaired: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """Everything that determines the slots of rows. Rounds differ only by their index."""

    quotas: ClassQuotas
    segments: Segments
    class_rank: I64  # of each class, by descending number of chunks
    classes_per_batch: int
    rounds: int
    seed: int
    ordering: ClassOrdering | None = None  # None: random in all layers

    @property
    def num_batches(self) -> int:
        """Number of batches in all rounds."""
        return self.segments.num_batches * self.rounds


@dataclasses.dataclass(frozen=True)
class Slots:
    """Batch positions of rows; one entry per slot.

    Attributes:
      row: Index of the row in the arguments of ``assign_slots``.
      batch: Number of the batch in the split.
      chunk: Number of the chunk among those of its class in the round. Rows of the same class,
        batch and chunk number belong to one chunk.
      index: Position within the chunk.
      padding: Whether the same pass over the class already contains the row.
    """

    row: I64
    batch: I64
    chunk: I64
    index: I64
    padding: npt.NDArray[np.bool_]


def compute_quotas(
    keys: U64, counts: I64, settings: PairsConfig, sampling: Sampling
) -> ClassQuotas:
    """Compute how many chunks each class contributes to a round.

    ``natural`` and ``inverse_frequency``: one pass. ``oversample``: the number of chunks in a pass
    over the largest class, at most ``max_repeats`` passes. ``undersample``: the number of chunks in
    a pass over the smallest class with at least two examples, and chunks of equal size; the next
    round continues where this one ends.
    """
    size = settings.examples_per_class
    usable = counts[counts >= 2]
    if sampling == "undersample" and usable.size:
        size = min(size, int(usable.min()))
    chunks_per_pass = -(-counts // size)
    chunks_per_round, round_stride = chunks_per_pass, chunks_per_pass
    if sampling == "oversample":
        chunks_per_round = np.minimum(
            chunks_per_pass.max(initial=0), settings.max_repeats * chunks_per_pass
        )
        round_stride = -(-chunks_per_round // chunks_per_pass) * chunks_per_pass
    elif sampling == "undersample":
        chunks = max(int(usable.min()) // size, 1) if usable.size else 1
        chunks_per_round = round_stride = np.full_like(counts, chunks)
    padding = np.where(counts >= size, chunks_per_pass * size - counts, 0)
    return ClassQuotas(
        keys,
        counts,
        np.full_like(counts, size),
        padding,
        chunks_per_pass,
        chunks_per_round,
        round_stride,
    )


def compute_class_weights(quotas: ClassQuotas, sampling: Sampling) -> npt.NDArray[np.float64]:
    """Compute the weight of each class's pairs, which corrects what sampling leaves unequal.

    ``natural``: 1. ``inverse_frequency``: N / (C * n). ``oversample`` and ``undersample``: the rows
    of the largest class in a round, divided by those of this class. This is 1 for a class with the
    same number, and more for one that ``max_repeats`` or its size (fewer than K examples) keeps
    smaller. The same formula applies to classes with one example, which occur in negative pairs
    only.
    """
    counts = quotas.counts.astype(np.float64)
    if sampling == "natural" or counts.size == 0:
        return np.ones_like(counts)
    if sampling == "inverse_frequency":
        weights: npt.NDArray[np.float64] = counts.sum() / (counts.size * counts)
        return weights
    rows = quotas.rows.astype(np.float64)
    weights = rows[np.argmax(counts)] / rows
    return weights


def make_layout(
    quotas: ClassQuotas, settings: PairsConfig, rounds: int, orderings: I64 | None = None
) -> Layout:
    """Lay out the chunks of a round in batches.

    If P exceeds the number of classes, P is lowered to it, and ``plan_warnings`` reports it.

    Args:
      quotas: Contributions of the classes.
      settings: Pair settings of the run.
      rounds: Number of rounds.
      orderings: (rounds, classes) position of each class in the ordering of each round. In every
        other layer, batches consist of neighbours in this ordering. None: all layers are random.
    """
    classes = min(settings.classes_per_batch, quotas.counts.size)
    class_rank = np.empty_like(quotas.counts)
    class_rank[np.argsort(-quotas.chunks_per_round, kind="stable")] = np.arange(class_rank.size)
    segments = _make_segments(quotas.chunks_per_round, classes, settings.classes_per_batch)
    ordering = None
    if orderings is not None:
        ordering = ClassOrdering(orderings[:, np.argsort(class_rank)], segments.num_classes)
    return Layout(quotas, segments, class_rank, classes, rounds, settings.seed, ordering)


def _make_segments(chunks_per_round: I64, classes_per_batch: int, max_joining: int) -> Segments:
    """Group the layers of a round into segments and number their batches."""
    layer_ends, num_ending = np.unique(chunks_per_round, return_counts=True)
    num_classes = num_ending[::-1].cumsum()[::-1]
    first_layer = np.concatenate([np.zeros(1, np.int64), layer_ends[:-1]])[: layer_ends.size]
    layers = layer_ends - first_layer
    merged = num_classes < classes_per_batch
    batches_per_layer = np.where(merged, 0, num_classes // max(classes_per_batch, 1))
    layers_per_batch = np.where(merged, -(-classes_per_batch // num_classes), 1)
    batches = np.where(merged, -(-layers // layers_per_batch), layers * batches_per_layer)
    is_alone = (num_classes == 1) & (layer_ends.size > 1)
    num_shared = batches[~is_alone].sum()
    num_left = np.where(is_alone, np.maximum(layers - num_shared * max_joining, 0), 0)
    batches = np.where(is_alone, -(-num_left // max_joining), batches)
    first_batch = batches.cumsum() - batches
    return Segments(
        *(first_layer, num_classes, first_batch, batches_per_layer, layers_per_batch),
        num_batches=int(batches.sum()),
        max_joining=max_joining,
        num_unpaired=int(num_left.sum()),
    )


def assign_slots(layout: Layout, classes: I64, ranks: I64) -> Slots:
    """Return all slots of the given rows, in all rounds.

    Args:
      layout: Layout of the split.
      classes: (n,) index of each row's class in the table of classes.
      ranks: (n,) dense rank of each row within its class, by the hash of its id.
    """
    rounds = [
        _assign_round_slots(layout, round_index, classes, ranks)
        for round_index in range(layout.rounds)
    ]
    return Slots(
        *(
            np.concatenate([getattr(slots, field.name) for slots in rounds])
            for field in dataclasses.fields(Slots)
        )
    )


def _assign_round_slots(layout: Layout, round_index: int, classes: I64, ranks: I64) -> Slots:
    quotas = layout.quotas
    start = round_index * quotas.round_stride
    first_pass = start // quotas.chunks_per_pass
    passes = (start + quotas.chunks_per_round - 1) // quotas.chunks_per_pass - first_pass + 1

    # One entry per row and pass.
    repeats = passes[classes]
    row = np.repeat(np.arange(classes.size), repeats)
    nth = np.arange(row.size) - np.repeat(repeats.cumsum() - repeats, repeats)
    class_index = classes[row]
    pass_number = first_pass[class_index] + nth
    keys = hash_integers(layout.seed, _PASS, quotas.keys[class_index], pass_number)
    position = permute(ranks[row], quotas.counts[class_index], keys)

    # The first rows of a pass also complete its last chunk.
    size, chunks_per_pass = quotas.chunk_size[class_index], quotas.chunks_per_pass[class_index]
    padded = np.flatnonzero(position < quotas.padding[class_index])
    last_index = quotas.counts[class_index[padded]] % size[padded] + position[padded]
    entry = np.concatenate([np.arange(row.size), padded])
    chunk = np.concatenate([position // size, chunks_per_pass[padded] - 1])
    index = np.concatenate([position % size, last_index])
    padding = entry.size - padded.size <= np.arange(entry.size)

    class_index, row = class_index[entry], row[entry]
    chunk = chunk + pass_number[entry] * chunks_per_pass[entry] - start[class_index]
    in_round = (chunk >= 0) & (chunk < quotas.chunks_per_round[class_index])
    row, class_index, chunk, index, padding = (
        part[in_round] for part in (row, class_index, chunk, index, padding)
    )
    # All rows of a chunk share a batch, which is computed once per chunk.
    span = int(quotas.chunks_per_round.max())
    chunk_ids, chunk_of = unique_inverse(class_index * span + chunk)
    batch = _assign_batches(
        layout, round_index, layout.class_rank[chunk_ids // span], chunk_ids % span
    )[chunk_of]
    return Slots(row, batch, chunk, index, padding)


def _assign_batches(layout: Layout, round_index: int, class_rank: I64, layer: I64) -> I64:
    """Return the batch, numbered within the split, of chunks in the given layers of a round."""
    segments = layout.segments
    segment = np.searchsorted(segments.first_layer, layer, side="right") - 1
    num_classes = segments.num_classes[segment]
    layer_in_segment = layer - segments.first_layer[segment]
    salt = hash_integers(layout.seed, _LAYER, round_index, layer)
    position_in_layer = permute(class_rank, num_classes, salt)
    if layout.ordering is not None:
        ordered = (round_index + layer) % _ORDERED_LAYER_INTERVAL == 0
        position_in_layer[ordered] = layout.ordering.positions(
            round_index, segment[ordered], class_rank[ordered], salt[ordered]
        )
    cut = (
        layer_in_segment * segments.batches_per_layer[segment]
        + position_in_layer * segments.batches_per_layer[segment] // num_classes
    )
    merged = layer_in_segment // segments.layers_per_batch[segment]
    batch = segments.first_batch[segment] + np.where(
        segments.batches_per_layer[segment] == 0, merged, cut
    )

    if segments.num_classes.size > 1 and segments.num_classes[-1] == 1:
        num_shared = int(segments.first_batch[-1])
        capacity = num_shared * segments.max_joining
        joining_batch = np.where(
            layer_in_segment < capacity, layer_in_segment % num_shared, num_shared
        )
        joining_batch += np.maximum(layer_in_segment - capacity, 0) // segments.max_joining
        batch = np.where(num_classes == 1, joining_batch, batch)

    total = np.full(1, segments.num_batches)
    permuted = permute(batch, total, hash_integers(layout.seed, _BATCH, round_index))
    return round_index * segments.num_batches + permuted
