"""PairGen's rules once more, slow and plain: loops, lists and dicts, one class and batch at a time.

Of the code it tests it uses only the hash and the permutation. Different pairs are not drawn anew,
but checked: that they are allowed, as many as there should be, and evenly spread.
"""

import dataclasses
import functools
import itertools
import math

import numpy as np

from diptych.components.pair_gen.hashing import hash_of, permute

PASS, LAYER, BATCH = 1, 2, 3
KEEP, TURN = 21, 22


@dataclasses.dataclass(frozen=True, order=True)
class Row:
    """A row of the examples file, in its order there."""

    batch: int
    kind: int
    chunk: int
    index: int
    rank: int  # of the example in its class
    fill: bool


def rows_of(sizes, keys, settings, policy, rounds):
    """All rows of a split, in the order of a single shard."""
    quotas = _quotas(sizes, settings, policy)
    rows = []
    for number in range(rounds):
        batches = _batches(quotas, settings, number)
        places = _shuffled(len(batches), settings.seed, BATCH, number)
        for place, chunks in zip(places, batches, strict=True):
            for kind, chunk in chunks:
                quota = quotas[kind]
                members = quota.chunk(number * quota.advance + chunk, keys[kind], settings.seed)
                for index, (rank, fill) in enumerate(members):
                    batch = number * len(batches) + place
                    rows.append(Row(batch, kind, chunk, index, rank, fill))
    return sorted(rows)


@dataclasses.dataclass(frozen=True)
class _Quota:
    """What a class puts into a round."""

    count: int
    chunk_size: int
    per_pass: int
    per_round: int
    advance: int

    def chunk(self, number, key, seed):
        """(rank, fill) of the examples of a chunk of the endless sequence."""
        turn, nth = divmod(number, self.per_pass)
        places = _shuffled(self.count, seed, PASS, int(key), turn)
        order = sorted(range(self.count), key=places.__getitem__)
        members = [(rank, False) for rank in order[nth * self.chunk_size :][: self.chunk_size]]
        if self.count >= self.chunk_size:
            missing = self.chunk_size - len(members)
            members += [(rank, True) for rank in order[:missing]]
        return members


def _quotas(sizes, settings, policy):
    size = settings.examples_per_class
    smallest = min([count for count in sizes if count > 1], default=1)
    if policy == "undersample" and smallest > 1:
        size = min(size, smallest)
    per_pass = [math.ceil(count / size) for count in sizes]
    quotas = []
    for count, chunks in zip(sizes, per_pass, strict=True):
        per_round = advance = chunks
        if policy == "oversample":
            per_round = min(max(per_pass), settings.max_repeats * chunks)
            advance = math.ceil(per_round / chunks) * chunks
        elif policy == "undersample":
            per_round = advance = max(smallest // size, 1)
        quotas.append(_Quota(count, size, chunks, per_round, advance))
    return quotas


def _batches(quotas, settings, number):
    """Batches of a round before they are shuffled: lists of (class, chunk)."""
    by_chunks = sorted(range(len(quotas)), key=lambda kind: -quotas[kind].per_round)
    fewest = min(settings.classes_per_batch, len(quotas))
    batches, together, alone = [], [], []
    before = None
    for layer in range(quotas[by_chunks[0]].per_round):
        members = [kind for kind in by_chunks if quotas[kind].per_round > layer]
        seats = _shuffled(len(members), settings.seed, LAYER, number, layer)
        seated = sorted(zip(seats, members, strict=True))
        if len(members) != before or len(together) == math.ceil(fewest / len(members)):
            batches += [list(itertools.chain(*together))] if together else []
            together, before = [], len(members)
        if len(members) >= fewest:
            cuts = len(members) // fewest
            parts = [[] for _ in range(cuts)]
            for seat, kind in seated:
                parts[seat * cuts // len(members)].append((kind, layer))
            batches += parts
        elif len(members) > 1:
            together.append([(kind, layer) for _, kind in seated])
        else:
            alone.append((members[0], layer))
    batches += [list(itertools.chain(*together))] if together else []
    # A class left alone joins the others in turn; what is left goes by itself.
    per_batch = settings.classes_per_batch
    room = len(batches) * per_batch
    for place, chunk in enumerate(alone[:room]):
        batches[place % (room // per_batch)].append(chunk)
    return batches + [list(part) for part in _pieces(alone[room:], per_batch)]


def _pieces(values, size):
    return [values[start : start + size] for start in range(0, len(values), size)]


@functools.lru_cache(maxsize=1000)
def _shuffled(size, *key):
    """Where each of ``range(size)`` goes."""
    return permute(np.arange(size), np.array([size]), hash_of(*key)).tolist()


def _pair_key(purpose, batch, pair, seed):
    low, high = sorted(pair)
    return int(hash_of(int(hash_of(seed, purpose, batch)[0]), low << 32 | high)[0])


def allowed_pairs(rows):
    """Same and different pairs that the rows of a batch may be in, as places in it."""
    same, different = [], []
    for (first, one), (second, other) in itertools.combinations(enumerate(rows), 2):
        if one.kind != other.kind:
            if not one.fill and not other.fill:
                different.append((first, second))
        elif one.chunk == other.chunk and not (one.fill and other.fill):
            same.append((first, second))
    return same, different


def drawn_same_pairs(rows, ratio, seed):
    """Same pairs of a batch as (left, right): each class in turn gives its next by key."""
    same, different = allowed_pairs(rows)
    times = min(len(same) // ratio[0], len(different) // ratio[1])
    by_class = {}
    for pair in same:
        by_class.setdefault(rows[pair[0]].kind, []).append(pair)
    turns = []
    for pairs in by_class.values():
        keyed = sorted((_pair_key(KEEP, rows[0].batch, pair, seed), pair) for pair in pairs)
        turns += [(turn, *entry) for turn, entry in enumerate(keyed)]
    kept = [pair for _, _, pair in sorted(turns)[: times * ratio[0]]]
    return sorted(sides_of(rows, pair, seed) for pair in kept)


def sides_of(rows, pair, seed):
    """A pair of a batch as (left, right)."""
    return tuple(sorted(pair, reverse=_pair_key(TURN, rows[0].batch, pair, seed) & 1))


def triplet_of(rows, left, right, seed):
    """The triplet of a same pair of a batch that stands there as (left, right)."""
    key = _pair_key(TURN, rows[0].batch, (left, right), seed)
    anchor, positive = (right, left) if key & 2 else (left, right)
    others = [place for place, row in enumerate(rows) if row.kind != rows[anchor].kind]
    return [anchor, positive, others[(key >> 2) % len(others)]]
