"""A slow reference implementation of PairGen: loops, lists and dicts, one class and batch at a
time.

It shares only the hash and the permutation with the code under test. Negative pairs are not sampled
here; the tests check that they are allowed, complete in number and evenly spread.
"""

import dataclasses
import functools
import itertools
import math

import numpy as np

from diptych.components.pair_gen.hashing import hash_integers, permute

PASS, LAYER, BATCH = 1, 2, 3
KEEP, SWAP = 21, 22


@dataclasses.dataclass(frozen=True, order=True)
class Row:
    """A row of the examples file; sorts in file order."""

    batch: int
    class_index: int
    chunk: int
    index: int
    rank: int  # of the example in its class
    padding: bool


def list_rows(sizes, keys, settings, sampling, rounds):
    """List all rows of a split, in the order of a single shard."""
    quotas = _make_quotas(sizes, settings, sampling)
    rows = []
    for number in range(rounds):
        batches = _make_batches(quotas, settings, number)
        positions = _shuffle(len(batches), settings.seed, BATCH, number)
        for position, chunks in zip(positions, batches, strict=True):
            for class_index, chunk in chunks:
                quota = quotas[class_index]
                members = quota.chunk(
                    number * quota.round_stride + chunk, keys[class_index], settings.seed
                )
                for index, (rank, padding) in enumerate(members):
                    batch = number * len(batches) + position
                    rows.append(Row(batch, class_index, chunk, index, rank, padding))
    return sorted(rows)


@dataclasses.dataclass(frozen=True)
class _ClassQuota:
    """The contribution of a class to a round."""

    count: int
    chunk_size: int
    chunks_per_pass: int
    chunks_per_round: int
    round_stride: int

    def chunk(self, number, key, seed):
        """Return (rank, padding) of the examples in a chunk of the endless sequence."""
        pass_index, nth = divmod(number, self.chunks_per_pass)
        positions = _shuffle(self.count, seed, PASS, int(key), pass_index)
        order = sorted(range(self.count), key=positions.__getitem__)
        members = [(rank, False) for rank in order[nth * self.chunk_size :][: self.chunk_size]]
        if self.count >= self.chunk_size:
            missing = self.chunk_size - len(members)
            members += [(rank, True) for rank in order[:missing]]
        return members


def _make_quotas(sizes, settings, sampling):
    size = settings.examples_per_class
    smallest = min([count for count in sizes if count > 1], default=1)
    if sampling == "undersample" and smallest > 1:
        size = min(size, smallest)
    chunks_per_pass = [math.ceil(count / size) for count in sizes]
    quotas = []
    for count, chunks in zip(sizes, chunks_per_pass, strict=True):
        chunks_per_round = round_stride = chunks
        if sampling == "oversample":
            chunks_per_round = min(max(chunks_per_pass), settings.max_repeats * chunks)
            round_stride = math.ceil(chunks_per_round / chunks) * chunks
        elif sampling == "undersample":
            chunks_per_round = round_stride = max(smallest // size, 1)
        quotas.append(_ClassQuota(count, size, chunks, chunks_per_round, round_stride))
    return quotas


def _make_batches(quotas, settings, number):
    """List the batches of a round before they are shuffled, as lists of (class, chunk)."""
    by_chunks = sorted(
        range(len(quotas)), key=lambda class_index: -quotas[class_index].chunks_per_round
    )
    fewest = min(settings.classes_per_batch, len(quotas))
    batches, merged, alone = [], [], []
    previous = None
    for layer in range(quotas[by_chunks[0]].chunks_per_round):
        members = [
            class_index for class_index in by_chunks if quotas[class_index].chunks_per_round > layer
        ]
        positions = _shuffle(len(members), settings.seed, LAYER, number, layer)
        ordered = sorted(zip(positions, members, strict=True))
        if len(members) != previous or len(merged) == math.ceil(fewest / len(members)):
            batches += [list(itertools.chain(*merged))] if merged else []
            merged, previous = [], len(members)
        if len(members) >= fewest:
            cuts = len(members) // fewest
            parts = [[] for _ in range(cuts)]
            for position, class_index in ordered:
                parts[position * cuts // len(members)].append((class_index, layer))
            batches += parts
        elif len(members) > 1:
            merged.append([(class_index, layer) for _, class_index in ordered])
        else:
            alone.append((members[0], layer))
    batches += [list(itertools.chain(*merged))] if merged else []
    # The chunks of a class that remains alone join the other batches in turn.
    per_batch = settings.classes_per_batch
    capacity = len(batches) * per_batch
    for position, chunk in enumerate(alone[:capacity]):
        batches[position % (capacity // per_batch)].append(chunk)
    return batches + [list(part) for part in _split_list(alone[capacity:], per_batch)]


def _split_list(values, size):
    return [values[start : start + size] for start in range(0, len(values), size)]


@functools.lru_cache(maxsize=1000)
def _shuffle(size, *key):
    """Return the shuffled position of each element of ``range(size)``."""
    return permute(np.arange(size), np.array([size]), hash_integers(*key)).tolist()


def _pair_key(purpose, batch, pair, seed):
    low, high = sorted(pair)
    return int(hash_integers(int(hash_integers(seed, purpose, batch)[0]), low << 32 | high)[0])


def list_allowed_pairs(rows):
    """List the positive and negative pairs that rows of a batch can form, as positions in it."""
    positive, negative = [], []
    for (first, one), (second, other) in itertools.combinations(enumerate(rows), 2):
        if one.class_index != other.class_index:
            if not one.padding and not other.padding:
                negative.append((first, second))
        elif one.chunk == other.chunk and not (one.padding and other.padding):
            positive.append((first, second))
    return positive, negative


def sample_positive_pairs(rows, ratio, seed):
    """Sample the positive pairs of a batch as (left, right), one of each class in turn, by key."""
    positive, negative = list_allowed_pairs(rows)
    multiple = min(len(positive) // ratio[0], len(negative) // ratio[1])
    by_class = {}
    for pair in positive:
        by_class.setdefault(rows[pair[0]].class_index, []).append(pair)
    ordered_pairs = []
    for pairs in by_class.values():
        keyed = sorted((_pair_key(KEEP, rows[0].batch, pair, seed), pair) for pair in pairs)
        ordered_pairs += [(turn, *entry) for turn, entry in enumerate(keyed)]
    kept = [pair for _, _, pair in sorted(ordered_pairs)[: multiple * ratio[0]]]
    return sorted(order_sides(rows, pair, seed) for pair in kept)


def order_sides(rows, pair, seed):
    """Return a pair of a batch as (left, right)."""
    return tuple(sorted(pair, reverse=_pair_key(SWAP, rows[0].batch, pair, seed) & 1))


def make_triplet(rows, left, right, seed):
    """Return the triplet of a positive pair (left, right) of a batch."""
    key = _pair_key(SWAP, rows[0].batch, (left, right), seed)
    anchor, positive = (right, left) if key & 2 else (left, right)
    others = [
        position for position, row in enumerate(rows) if row.class_index != rows[anchor].class_index
    ]
    return [anchor, positive, others[(key >> 2) % len(others)]]
