"""Names of splits that data state: of folders, of files, or in a column."""

import re
from collections.abc import Iterable

from diptych.schemas.shards import SPLITS

_TRAIN, _CALIBRATION, _TEST = SPLITS
_SPLIT_BY_NAME = {
    "train": _TRAIN,
    "training": _TRAIN,
    "val": _CALIBRATION,
    "valid": _CALIBRATION,
    "validation": _CALIBRATION,
    "calibration": _CALIBRATION,
    "calib": _CALIBRATION,
    "dev": _CALIBRATION,
    "test": _TEST,
    "testing": _TEST,
    "eval": _TEST,
    "evaluation": _TEST,
    "holdout": _TEST,
}
# 01_train, training_set, test-images, val2017
_DECORATED_NAME = re.compile(
    r"(?:\d+[\W_]+)?(?P<split>[a-z]+?)"
    r"(?:[\W_]*(?:set|split|data|dataset|images?|imgs?|(?:19|20)\d\d))?"
)
EXPECTED_NAMES = (
    "train or training; val, valid, validation, calibration, calib or dev; test, testing, eval, "
    "evaluation or holdout"
)


def parse_split_name(name: str) -> str | None:
    """Return the split, one of ``SPLITS``, that a name in any case states; or None."""
    match = _DECORATED_NAME.fullmatch(name.strip().lower())
    return None if match is None else _SPLIT_BY_NAME.get(match["split"])


def find_split_in_path(name: str) -> str | None:
    """Return the split that a path states, such as ``train-00000-of-00004.parquet`` or ``test/1``.

    One of its words must be the name of a split, and none that of another split.
    """
    words = re.split(r"[^a-z]+", name.lower())
    found = {split for word in words if (split := parse_split_name(word)) is not None}
    return found.pop() if len(found) == 1 else None


def states_splits(file_names: Iterable[str]) -> bool:
    """Return whether each of the files states a split, one of them training and one another."""
    found = {find_split_in_path(name) for name in file_names}
    return None not in found and _TRAIN in found and len(found) > 1
