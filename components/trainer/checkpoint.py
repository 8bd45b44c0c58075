"""A checkpoint: one file with weights, optimiser and the place in the data."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from diptych.schemas.files import whole_file

_NAME, _PROGRESS = "checkpoint.npz", "progress"


def write_checkpoint(
    folder: Path, progress: dict[str, Any], arrays: dict[str, list[np.ndarray]]
) -> None:
    """Writes it beside the one before, and renames: one of the two is always whole.

    Args:
      folder: on a cluster, one that all workers share.
      progress: what JSON can hold.
      arrays: lists of arrays by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        f"{name}/{number}": array
        for name, several in arrays.items()
        for number, array in enumerate(several)
    }
    text = np.frombuffer(json.dumps(progress).encode(), np.uint8)
    with whole_file(folder / _NAME) as beside, beside.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_PROGRESS: text}, **values)


def read_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, list[np.ndarray]]] | None:
    """Reads progress and arrays; None if there is no checkpoint."""
    path = folder / _NAME
    if not path.exists():
        return None
    arrays: dict[str, list[np.ndarray]] = {}
    with np.load(path, allow_pickle=False) as stored:
        progress: dict[str, Any] = json.loads(stored[_PROGRESS].tobytes())
        for key in stored.files:  # in the order in which they were written
            name, slash, _ = key.partition("/")
            if slash:
                arrays.setdefault(name, []).append(stored[key])
    return progress, arrays
