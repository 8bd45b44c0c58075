"""Checkpoints: one file with the weights, the optimizer state and the position in the data."""

import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from diptych.schemas.errors import TrainingError
from diptych.schemas.files import atomic_write

_FILE_NAME = "checkpoint.npz"
_PROGRESS_KEY = "progress"


def save_checkpoint(
    folder: Path, progress: dict[str, Any], arrays: dict[str, list[np.ndarray]]
) -> None:
    """Replace the checkpoint atomically: a complete one always exists.

    Args:
      folder: Folder for the checkpoint. On a cluster, all workers must share it.
      progress: JSON-serializable position in the data, and metrics.
      arrays: Lists of arrays by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = {
        f"{name}/{index}": array
        for name, named_arrays in arrays.items()
        for index, array in enumerate(named_arrays)
    }
    encoded_progress = np.frombuffer(json.dumps(progress).encode(), np.uint8)
    with atomic_write(folder / _FILE_NAME) as tmp_path, tmp_path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_PROGRESS_KEY: encoded_progress}, **entries)
        file.flush()
        os.fsync(file.fileno())  # otherwise a power failure may keep the rename but lose the data


def load_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, list[np.ndarray]]] | None:
    """Load the progress and the arrays, or return None if no checkpoint exists.

    Raises:
      TrainingError: If the file is damaged.
    """
    with _open_checkpoint(folder) as stored:
        if stored is None:
            return None
        arrays: dict[str, list[np.ndarray]] = {}
        for key in stored.files:  # in the order in which they were written
            name, slash, _ = key.partition("/")
            if slash:
                arrays.setdefault(name, []).append(stored[key])
        return _decode_progress(stored), arrays


def load_progress(folder: Path) -> dict[str, Any] | None:
    """Load the progress without the arrays, which is fast for any number of weights."""
    with _open_checkpoint(folder) as stored:
        return None if stored is None else _decode_progress(stored)


@contextmanager
def _open_checkpoint(folder: Path) -> Iterator[Any]:
    path = folder / _FILE_NAME
    if not path.exists():
        yield None
        return
    try:
        with np.load(path, allow_pickle=False) as stored:
            yield stored
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
        raise TrainingError(
            f"The checkpoint {path} cannot be read: {error}. Remove it to train from the start."
        ) from error


def _decode_progress(stored: Any) -> dict[str, Any]:
    progress: dict[str, Any] = json.loads(stored[_PROGRESS_KEY].tobytes())
    return progress
