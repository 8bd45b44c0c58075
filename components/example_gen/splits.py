"""Assign examples to splits by a hash of their key, so that an example never changes its split."""

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from diptych.components.example_gen.example_batch import ExampleBatch
from diptych.components.example_gen.fingerprints import mix_bits
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.shards import SPLITS


def initial_splits(
    batch: ExampleBatch, split: SplitConfig, found: Collection[str]
) -> npt.NDArray[np.uint8]:
    """Assign the examples of a batch to the given split, or by a hash of their key.

    The plan of all splits may still change it; see ``split_plan``.

    Args:
      batch: Examples.
      split: Fractions and seed.
      found: Given splits that occur anywhere in the data.

    Returns:
      (n,) indices into ``SPLITS``.
    """
    if batch.given_splits is None:
        return assign_splits(batch.split_keys, split).astype(np.uint8)
    return assign_given_splits(batch.given_splits, batch.split_keys, found, split).astype(np.uint8)


def assign_splits(keys: Sequence[bytes], split: SplitConfig) -> npt.NDArray[np.int64]:
    """Assign examples to splits, as indices into ``schemas.shards.SPLITS``.

    The hash maps a key to [0, 1): values below ``split.train`` are training examples, and so on. It
    depends on the key and ``split.seed`` alone, so new data do not move existing examples.

    Args:
      keys: (n,) Id, label or group of each example.
      split: Shares and seed.

    Returns:
      (n,) 0 training, 1 calibration, 2 test.
    """
    bounds = np.array([split.train, split.train + split.calibration])
    return np.searchsorted(bounds, hash_to_unit_interval(keys, split.seed), side="right")


def hash_to_unit_interval(keys: Sequence[bytes], seed: int) -> npt.NDArray[np.float64]:
    """Hash keys to [0, 1)."""
    # A float64 holds 53 bits exactly, so the result is never rounded up to 1.
    return (hash_keys(keys, salt=seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def assign_given_splits(
    given: Sequence[str], keys: Sequence[bytes], found: Collection[str], split: SplitConfig
) -> npt.NDArray[np.int64]:
    """Assign examples to the splits that the data state, as indices into ``SPLITS``.

    If the data have training examples and one other split, the other one is the test split, and a
    hash of the key moves a part of the training examples to calibration:
    ``split.calibration / (split.train + split.calibration)``.

    Args:
      given: (n,) Split of each example.
      keys: (n,) Id or group of each example. Equal keys stay together.
      found: Splits that occur anywhere in the data.
      split: Fractions and seed.
    """
    splits = np.array([SPLITS.index(name) for name in given], np.int64)
    train, calibration, test = range(len(SPLITS))
    if set(found) == set(SPLITS):
        return splits
    fraction = split.train / (split.train + split.calibration)
    is_moved = hash_to_unit_interval(keys, split.seed) >= fraction
    return np.where(splits == train, np.where(is_moved, calibration, train), test)


def splits_of_ids(ids: npt.NDArray[np.uint64], split: SplitConfig) -> npt.NDArray[np.uint8]:
    """Assign (n,) ids, which are hashes already, to splits as ``assign_splits`` assigns keys."""
    seed = mix_bits(np.full(1, split.seed % 2**64, np.uint64) + np.uint64(1))
    position = (mix_bits(ids ^ seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    bounds = np.array([split.train, split.train + split.calibration])
    return np.searchsorted(bounds, position, side="right").astype(np.uint8)


def hash_keys(keys: Sequence[bytes], salt: int) -> npt.NDArray[np.uint64]:
    """Hash keys to 64 bits; each distinct key is hashed once."""
    hash_by_key: dict[bytes, int] = {}
    salted = hashlib.blake2b(digest_size=8, key=salt.to_bytes(8, "little"))
    hashes = np.empty(len(keys), np.uint64)
    for row, key in enumerate(keys):
        value = hash_by_key.get(key)
        if value is None:
            copy = salted.copy()
            copy.update(key)
            value = hash_by_key[key] = int.from_bytes(copy.digest(), "little")
        hashes[row] = value
    return hashes
