"""Assign examples to splits by a hash of their key, so that an example never changes its split."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from diptych.components.example_gen.example_batch import ExampleBatch
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.shards import SPLITS


def initial_splits(batch: ExampleBatch, split: SplitConfig) -> npt.NDArray[np.uint8]:
    """Assign the examples of a batch to the given split, or by a hash of their key.

    The plan of all splits may still change it; see ``split_plan``.

    Returns:
      (n,) indices into ``SPLITS``.
    """
    splits = assign_splits(batch.split_keys, split).astype(np.uint8)
    if batch.given_splits is not None:
        for row, name in enumerate(batch.given_splits):
            if name is not None:
                splits[row] = SPLITS.index(name)
    return splits


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
    hashes = hash_keys(keys, salt=split.seed)
    # A float64 holds 53 bits exactly, so the result is never rounded up to 1.
    position = (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
    bounds = np.array([split.train, split.train + split.calibration])
    return np.searchsorted(bounds, position, side="right")


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
