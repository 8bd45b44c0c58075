"""Keyed hashes and permutations, which replace random number generators.

Everything is uint64 arithmetic on arrays and gives the same result on every machine. The slots of a
row can therefore be computed on any worker, and a retried bundle gives the same result.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from diptych.schemas.shards import ID_BYTES

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Bytes2D = npt.NDArray[np.uint8]

MAX_PERMUTATION_SIZE = 2**40  # largest range that can be permuted
_BLOCK = 2**14  # rows at a time, so that the arrays stay in the processor's cache
_FEISTEL_ROUNDS = 8  # even; 4 suffice for large ranges, small ones need more

# Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def splitmix64(values: U64) -> U64:
    """Apply the finalizer of SplitMix64, a bijection of uint64 that flips about half the bits."""
    mixed: U64 = values >> np.uint64(30)
    mixed ^= values
    mixed *= _MIX_1
    mixed ^= mixed >> np.uint64(27)
    mixed *= _MIX_2
    mixed ^= mixed >> np.uint64(31)
    return mixed


def hash_integers(*parts: int | I64 | U64) -> U64:
    """Hash several integers to one value; the order matters and arrays broadcast.

    Returns:
      uint64 of the broadcast shape, (1,) if all parts are scalars.
    """
    state = np.full(1, len(parts), np.uint64)
    for part in parts:
        state = splitmix64((state + _GOLDEN) ^ _to_uint64(part))
    return state


def hash_ids(ids: Bytes2D, seed: int) -> U64:
    """Hash the 16-byte ids of examples. Sorting by the hash gives a fixed random order.

    Args:
      ids: (n, 16) bytes.
      seed: Different seeds give different orders.

    Returns:
      (n,) uint64.
    """
    words = ids_to_words(ids)
    return hash_integers(seed, words[:, 0], words[:, 1])


def ids_to_words(ids: Bytes2D) -> U64:
    """Convert ids to (n, 2) big-endian integers, which sort in the order of the bytes."""
    if ids.ndim != 2 or ids.shape[1] != ID_BYTES:
        raise ValueError(f"ids must be (n, {ID_BYTES}), got {ids.shape}")
    return np.ascontiguousarray(ids).view(">u8").astype(np.uint64)


def hash_labels(labels: Iterable[bytes]) -> U64:
    """Hash each label to a 64-bit key.

    The probability that any two of a million classes share a key is 3 in 10**8.
    """
    digests = b"".join(hashlib.blake2b(label, digest_size=8).digest() for label in labels)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def permute(positions: I64, sizes: I64, keys: U64) -> I64:
    """Map positions through a keyed permutation of ``range(size)``.

    A Feistel network over the next power of 2, iterated until the result is inside the range (cycle
    walking; Black & Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). This takes at
    most 2 steps on average and stores nothing, whatever the size.

    Args:
      positions: (n,) positions, each in ``range(size)`` of its row.
      sizes: (n,), or (1,) for all rows, up to 2**40.
      keys: (n,), or (1,) for all rows. Rows of equal size and key share a permutation.

    Returns:
      (n,) int64.
    """
    positions, sizes, keys = np.broadcast_arrays(positions, sizes, keys)
    if positions.size == 0:
        return np.zeros(0, np.int64)
    if sizes.max() > MAX_PERMUTATION_SIZE or positions.min() < 0 or (positions >= sizes).any():
        raise ValueError(
            f"positions must lie in range(size), with sizes of at most {MAX_PERMUTATION_SIZE}, got "
            f"positions from {positions.min()} to {positions.max()} and sizes up to {sizes.max()}"
        )
    result = np.empty(positions.size, np.int64)
    for start in range(0, result.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        result[block] = _permute_block(positions[block], sizes[block], keys[block])
    return result


def _permute_block(positions: I64, sizes: I64, keys: U64) -> U64:
    # frexp's exponent is the number of bits of size - 1, exact below 2**53.
    bits = np.frexp((sizes - 1).astype(np.float64))[1].astype(np.uint64)
    bits[bits == 3] = 4  # halves of 1 and 2 bits mix poorly
    limits = sizes.astype(np.uint64)
    result = _apply_feistel(positions.astype(np.uint64), bits, keys)
    outside = np.flatnonzero(result >= limits)
    while outside.size:
        walked = _apply_feistel(result[outside], bits[outside], keys[outside])
        result[outside] = walked
        outside = outside[walked >= limits[outside]]
    return result


def _apply_feistel(values: U64, bits: U64, keys: U64) -> U64:
    """Permute integers of the given number of bits; the halves may differ by one bit."""
    low = (bits + np.uint64(1)) >> np.uint64(1)
    masks = [(np.uint64(1) << half) - np.uint64(1) for half in (bits >> np.uint64(1), low)]
    left, right = values >> low, values & masks[1]
    key = keys.copy()
    for round_index in range(_FEISTEL_ROUNDS):
        # The next output of SplitMix64 for the state key + right; only its high half is used.
        key += _GOLDEN
        mixed = right + key
        mixed ^= mixed >> np.uint64(30)
        mixed *= _MIX_1
        mixed ^= mixed >> np.uint64(27)
        mixed *= _MIX_2
        mixed >>= np.uint64(32)
        mixed &= masks[round_index % 2]
        mixed ^= left
        left, right = right, mixed
    left <<= low
    left |= right
    return left


def _to_uint64(part: int | I64 | U64) -> U64:
    if isinstance(part, int):
        return np.full(1, part % 2**64, np.uint64)
    return part.astype(np.uint64)
