"""From the counts of the classes to the places of their examples in P x K batches.

A class has an endless *sequence of chunks*. Pass 0, 1, 2 ... of it is a fresh keyed permutation of
the examples, cut in chunks of K. A last chunk that is short is filled up with the first places
of the same pass (*fill* rows); a class smaller than K is one chunk a pass, unfilled. So a chunk
never holds an example twice, and a pass holds each example once but for the fills.

A round takes a number of chunks of each class, by the policy. Its chunk number j lies in *layer*
j, which so holds all classes with more than j chunks, each once, in an order permuted anew, or in
every other layer, where that is asked for, along a line of similar classes (see ``seats``). A
layer is cut in batches of at least P classes; where fewer than P classes are left, several
layers make a batch. Chunks of a class that is left alone could make no different pairs, and join
the other batches of the round in turn, up to as many a batch as P asked for. What is left even
then goes without pairs, as ``notes`` tells.

All of it is arithmetic on the table of the classes: a row's places follow from its class and its
rank there, wherever the row is.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.pair_gen.class_ordering import Seats
from diptych.components.pair_gen.hashing import I64, U64, hash_of, permute
from diptych.components.pair_gen.sorting import distinct
from diptych.schemas.config.pairs import Pairs, Policy

_PASS, _LAYER, _BATCH = 1, 2, 3  # what a key is for
# Every other layer is in line. A model that met neighbours alone would put classes that never
# meet in one place.
_IN_LINE = 2


@dataclasses.dataclass(frozen=True)
class Quotas:
    """What each class puts into every round; one entry a class.

    Attributes:
      keys: of the classes.
      counts: examples.
      chunk_size: K, or fewer where a policy lowers it.
      fill: rows that fill up the last chunk of a pass.
      per_pass: chunks of one pass.
      per_round: chunks of one round.
      advance: chunks by which a round starts after the round before it.
    """

    keys: U64
    counts: I64
    chunk_size: I64
    fill: I64
    per_pass: I64
    per_round: I64
    advance: I64

    @property
    def rows(self) -> I64:
        """Rows placed in a round; fills count where they may come to lie."""
        return self.per_round * np.minimum(self.counts, self.chunk_size)


@dataclasses.dataclass(frozen=True)
class Segments:
    """Runs of layers with the same classes; one entry a run.

    Attributes:
      first_layer: of the run.
      num_classes: with a chunk in each layer of the run.
      first_batch: of the run, among the batches of a round before they are permuted.
      per_layer: batches a layer is cut in; 0 where layers go together.
      layers_per_batch: layers that make a batch together.
      num_batches: of a round.
      joining: chunks of a class left alone that each batch before them takes in, at most.
      unpaired: chunks that are left even then, in batches of their own.
    """

    first_layer: I64
    num_classes: I64
    first_batch: I64
    per_layer: I64
    layers_per_batch: I64
    num_batches: int
    joining: int
    unpaired: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """All that places rows; the same for every round but for its number."""

    quotas: Quotas
    segments: Segments
    order: I64  # of each class: its rank by descending number of chunks
    classes_per_batch: int
    rounds: int
    seed: int
    seats: Seats | None = None  # None: random ones

    @property
    def num_batches(self) -> int:
        """Of all rounds."""
        return self.segments.num_batches * self.rounds


@dataclasses.dataclass(frozen=True)
class Places:
    """Where rows go, one entry a place.

    Attributes:
      row: index of the row, as it was asked for.
      batch: number in the split.
      chunk: number of the chunk among those of its class in the round. Rows of a class and
        batch with the same chunk lie in one chunk.
      index: in the chunk.
      fill: whether the row is in the same pass of its class already.
    """

    row: I64
    batch: I64
    chunk: I64
    index: I64
    fill: npt.NDArray[np.bool_]


def quotas(keys: U64, counts: I64, settings: Pairs, policy: Policy) -> Quotas:
    """What each class puts into a round, by the policy.

    ``natural`` and ``inverse_frequency``: one pass. ``oversample``: as many chunks as a pass of
    the largest class has, at most ``max_repeats`` passes. ``undersample``: as many as a pass of
    the smallest class that has at least two examples, of equal size; the next round goes on
    where this one ends.
    """
    size = settings.examples_per_class
    usable = counts[counts >= 2]
    if policy == "undersample" and usable.size:
        size = min(size, int(usable.min()))
    per_pass = -(-counts // size)
    per_round, advance = per_pass, per_pass
    if policy == "oversample":
        per_round = np.minimum(per_pass.max(initial=0), settings.max_repeats * per_pass)
        advance = -(-per_round // per_pass) * per_pass
    elif policy == "undersample":
        chunks = max(int(usable.min()) // size, 1) if usable.size else 1
        per_round = advance = np.full_like(counts, chunks)
    fill = np.where(counts >= size, per_pass * size - counts, 0)
    return Quotas(keys, counts, np.full_like(counts, size), fill, per_pass, per_round, advance)


def class_weights(amounts: Quotas, policy: Policy) -> npt.NDArray[np.float64]:
    """Weight of the pairs of each class: what selection could not make equal.

    ``natural``: 1. ``inverse_frequency``: N / (C * n). ``oversample`` and ``undersample``: rows
    that the largest class places in a round, for each row of this class: 1 where a class has as
    many, more for one that ``max_repeats`` or its size (fewer than K examples) kept smaller. A
    class with one example follows the same formula; it is in different pairs only.
    """
    counts = amounts.counts.astype(np.float64)
    if policy == "natural" or counts.size == 0:
        return np.ones_like(counts)
    if policy == "inverse_frequency":
        weights: npt.NDArray[np.float64] = counts.sum() / (counts.size * counts)
        return weights
    rows = amounts.rows.astype(np.float64)
    weights = rows[np.argmax(counts)] / rows
    return weights


def make_layout(amounts: Quotas, settings: Pairs, rounds: int, lines: I64 | None = None) -> Layout:
    """Lays out the chunks of a round in batches.

    P above the number of classes is lowered to it; ``notes`` tells of it.

    Args:
      amounts: of the classes.
      settings: of the pairs.
      rounds: number of them.
      lines: (rounds, classes) place of each class on the line of each round, where neighbours
        on the line shall share batches in every other layer; None: in no layer.
    """
    classes = min(settings.classes_per_batch, amounts.counts.size)
    order = np.empty_like(amounts.counts)
    order[np.argsort(-amounts.per_round, kind="stable")] = np.arange(order.size)
    segments = _segments(amounts.per_round, classes, settings.classes_per_batch)
    seats = None
    if lines is not None:
        seats = Seats(lines[:, np.argsort(order)], segments.num_classes)
    return Layout(amounts, segments, order, classes, rounds, settings.seed, seats)


def _segments(per_round: I64, classes_per_batch: int, joining: int) -> Segments:
    ends, ending = np.unique(per_round, return_counts=True)
    num_classes = ending[::-1].cumsum()[::-1]
    first_layer = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[: ends.size]
    layers = ends - first_layer
    together = num_classes < classes_per_batch
    per_layer = np.where(together, 0, num_classes // max(classes_per_batch, 1))
    layers_per_batch = np.where(together, -(-classes_per_batch // num_classes), 1)
    batches = np.where(together, -(-layers // layers_per_batch), layers * per_layer)
    alone = (num_classes == 1) & (ends.size > 1)
    before = batches[~alone].sum()
    left = np.where(alone, np.maximum(layers - before * joining, 0), 0)
    batches = np.where(alone, -(-left // joining), batches)
    first_batch = batches.cumsum() - batches
    return Segments(
        *(first_layer, num_classes, first_batch, per_layer, layers_per_batch),
        num_batches=int(batches.sum()),
        joining=joining,
        unpaired=int(left.sum()),
    )


def place(layout: Layout, classes: I64, ranks: I64) -> Places:
    """All places of some rows, in all rounds.

    Args:
      layout: of the split.
      classes: (n,) index of each row's class in the table.
      ranks: (n,) dense rank of each row in its class, by the hash of its id.
    """
    rounds = [_place_round(layout, number, classes, ranks) for number in range(layout.rounds)]
    return Places(
        *(
            np.concatenate([getattr(places, field.name) for places in rounds])
            for field in dataclasses.fields(Places)
        )
    )


def _place_round(layout: Layout, number: int, classes: I64, ranks: I64) -> Places:
    amounts = layout.quotas
    start = number * amounts.advance
    first_pass = start // amounts.per_pass
    passes = (start + amounts.per_round - 1) // amounts.per_pass - first_pass + 1

    # One entry a row and pass.
    repeats = passes[classes]
    row = np.repeat(np.arange(classes.size), repeats)
    nth = np.arange(row.size) - np.repeat(repeats.cumsum() - repeats, repeats)
    kind = classes[row]
    pass_number = first_pass[kind] + nth
    keys = hash_of(layout.seed, _PASS, amounts.keys[kind], pass_number)
    position = permute(ranks[row], amounts.counts[kind], keys)

    # The first places of a pass also fill up its last chunk.
    size, per_pass = amounts.chunk_size[kind], amounts.per_pass[kind]
    filling = np.flatnonzero(position < amounts.fill[kind])
    last_index = amounts.counts[kind[filling]] % size[filling] + position[filling]
    entry = np.concatenate([np.arange(row.size), filling])
    chunk = np.concatenate([position // size, per_pass[filling] - 1])
    index = np.concatenate([position % size, last_index])
    fill = entry.size - filling.size <= np.arange(entry.size)

    kind, row = kind[entry], row[entry]
    chunk = chunk + pass_number[entry] * per_pass[entry] - start[kind]
    kept = (chunk >= 0) & (chunk < amounts.per_round[kind])
    row, kind, chunk, index, fill = (part[kept] for part in (row, kind, chunk, index, fill))
    # Rows of a chunk go to one batch, which is found once.
    span = int(amounts.per_round.max())
    pairs, chunk_of = distinct(kind * span + chunk)
    batch = _batches(layout, number, layout.order[pairs // span], pairs % span)[chunk_of]
    return Places(row, batch, chunk, index, fill)


def _batches(layout: Layout, number: int, order: I64, layer: I64) -> I64:
    """Number of the batch in the split of chunks that lie in some layers of a round."""
    segments = layout.segments
    run = np.searchsorted(segments.first_layer, layer, side="right") - 1
    num_classes = segments.num_classes[run]
    since = layer - segments.first_layer[run]
    salt = hash_of(layout.seed, _LAYER, number, layer)
    seat = permute(order, num_classes, salt)
    if layout.seats is not None:
        near = (number + layer) % _IN_LINE == 0
        seat[near] = layout.seats.of(number, run[near], order[near], salt[near])
    cut = since * segments.per_layer[run] + seat * segments.per_layer[run] // num_classes
    together = since // segments.layers_per_batch[run]
    batch = segments.first_batch[run] + np.where(segments.per_layer[run] == 0, together, cut)

    if segments.num_classes.size > 1 and segments.num_classes[-1] == 1:
        before = int(segments.first_batch[-1])
        room = before * segments.joining
        joined = np.where(since < room, since % before, before)
        joined += np.maximum(since - room, 0) // segments.joining
        batch = np.where(num_classes == 1, joined, batch)

    total = np.full(1, segments.num_batches)
    mixed = permute(batch, total, hash_of(layout.seed, _BATCH, number))
    return number * segments.num_batches + mixed
