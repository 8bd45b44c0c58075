"""Keyed hashes and permutations: what stands in for every random draw.

All is uint64 arithmetic on whole arrays, the same on every machine, so that a row's place can be
computed wherever the row happens to be, and a bundle that is run twice draws the same.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from diptych.schemas.shards import ID_BYTES

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Bytes2D = npt.NDArray[np.uint8]

MAX_SIZE = 2**40  # of a permuted range
_BLOCK = 2**14  # rows at a time: what is worked on stays in the processor's cache
_FEISTEL_ROUNDS = 8  # even; 4 do for large ranges, small ones need more

# Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def mix(values: U64) -> U64:
    """The finaliser of SplitMix64: a bijection of uint64 in which each bit moves about half."""
    mixed: U64 = values >> np.uint64(30)
    mixed ^= values
    mixed *= _MIX_1
    mixed ^= mixed >> np.uint64(27)
    mixed *= _MIX_2
    mixed ^= mixed >> np.uint64(31)
    return mixed


def hash_of(*parts: int | I64 | U64) -> U64:
    """One hash of several whole numbers, in their order; arrays broadcast.

    Returns:
      uint64 of the broadcast shape, (1,) if all parts are numbers.
    """
    state = np.full(1, len(parts), np.uint64)
    for part in parts:
        state = mix((state + _GOLDEN) ^ _as_uint64(part))
    return state


def hash_ids(ids: Bytes2D, seed: int) -> U64:
    """Hashes of the 16-byte ids of examples; sort by them for one fixed shuffled order.

    Args:
      ids: (n, 16).
      seed: another seed, another order.

    Returns:
      (n,) uint64.
    """
    words = id_words(ids)
    return hash_of(seed, words[:, 0], words[:, 1])


def id_words(ids: Bytes2D) -> U64:
    """The ids as (n, 2) big-endian numbers, which sort as the bytes do."""
    if ids.ndim != 2 or ids.shape[1] != ID_BYTES:
        raise ValueError(f"ids must be (n, {ID_BYTES}), got {ids.shape}")
    return np.ascontiguousarray(ids).view(">u8").astype(np.uint64)


def class_keys(labels: Iterable[bytes]) -> U64:
    """A 64-bit key of each label.

    Among a million classes some two share a key with a probability of 3 in 10**8.
    """
    digests = b"".join(hashlib.blake2b(label, digest_size=8).digest() for label in labels)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def permute(positions: I64, sizes: I64, keys: U64) -> I64:
    """Where each position goes in a keyed permutation of ``range(size)``.

    A Feistel network over the next power of 2, walked along its cycle until it is back inside
    the range (Black & Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). On average
    that is at most 2 steps; nothing is stored, whatever the size.

    Args:
      positions: (n,), each in ``range(size)`` of its row.
      sizes: (n,), or (1,) for all, up to 2**40.
      keys: (n,), or (1,) for all. Rows of equal size and key are of one permutation.

    Returns:
      (n,) int64.
    """
    positions, sizes, keys = np.broadcast_arrays(positions, sizes, keys)
    if positions.size == 0:
        return np.zeros(0, np.int64)
    if sizes.max() > MAX_SIZE or positions.min() < 0 or (positions >= sizes).any():
        raise ValueError(f"positions must lie in range(size), with sizes of at most {MAX_SIZE}")
    result = np.empty(positions.size, np.int64)
    for start in range(0, result.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        result[block] = _permute_block(positions[block], sizes[block], keys[block])
    return result


def _permute_block(positions: I64, sizes: I64, keys: U64) -> U64:
    # frexp's exponent is the number of bits of size - 1, exact below 2**53.
    bits = np.frexp((sizes - 1).astype(np.float64))[1].astype(np.uint64)
    bits[bits == 3] = 4  # halves of 1 and 2 bits would mix badly
    limits = sizes.astype(np.uint64)
    result = _feistel(positions.astype(np.uint64), bits, keys)
    outside = np.flatnonzero(result >= limits)
    while outside.size:
        walked = _feistel(result[outside], bits[outside], keys[outside])
        result[outside] = walked
        outside = outside[walked >= limits[outside]]
    return result


def _feistel(values: U64, bits: U64, keys: U64) -> U64:
    """A keyed permutation of the numbers of some bits; the halves may differ by one bit."""
    low = (bits + np.uint64(1)) >> np.uint64(1)
    masks = [(np.uint64(1) << half) - np.uint64(1) for half in (bits >> np.uint64(1), low)]
    left, right = values >> low, values & masks[1]
    key = keys.copy()
    for number in range(_FEISTEL_ROUNDS):
        # SplitMix64's next number from the state key + right, of which the high half is used.
        key += _GOLDEN
        mixed = right + key
        mixed ^= mixed >> np.uint64(30)
        mixed *= _MIX_1
        mixed ^= mixed >> np.uint64(27)
        mixed *= _MIX_2
        mixed >>= np.uint64(32)
        mixed &= masks[number % 2]
        mixed ^= left
        left, right = right, mixed
    left <<= low
    left |= right
    return left


def _as_uint64(part: int | I64 | U64) -> U64:
    if isinstance(part, int):
        return np.full(1, part % 2**64, np.uint64)
    return part.astype(np.uint64)
