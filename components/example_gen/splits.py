"""Which split an example belongs to: a hash of its key, so that it never moves."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from diptych.schemas.config.split import Split


def assign_splits(keys: Sequence[bytes], split: Split) -> npt.NDArray[np.int64]:
    """Splits of examples, as numbers of ``schemas.shards.SPLITS``.

    The hash of a key is a number in [0, 1): below ``split.train`` it is training, and so on. It
    depends on the key and ``split.seed`` alone: data that are added move nothing.

    Args:
      keys: (n,) the id, the label or the group of each example.
      split: shares and seed.

    Returns:
      (n,) 0 training, 1 calibration, 2 test.
    """
    hashes = hash_keys(keys, salt=split.seed)
    # 53 bits are what a float64 holds exactly: a number in [0, 1), never 1.
    position = (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
    bounds = np.array([split.train, split.train + split.calibration])
    return np.searchsorted(bounds, position, side="right")


def hash_keys(keys: Sequence[bytes], salt: int) -> npt.NDArray[np.uint64]:
    """One 64-bit hash a key; each distinct key is hashed once."""
    found: dict[bytes, int] = {}
    salted = hashlib.blake2b(digest_size=8, key=salt.to_bytes(8, "little"))
    hashes = np.empty(len(keys), np.uint64)
    for row, key in enumerate(keys):
        value = found.get(key)
        if value is None:
            copy = salted.copy()
            copy.update(key)
            value = found[key] = int.from_bytes(copy.digest(), "little")
        hashes[row] = value
    return hashes
