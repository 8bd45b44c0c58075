"""A checkpoint: one file with weights, optimiser and the place in the data."""

import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from diptych.schemas.errors import TrainingError
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
        file.flush()
        os.fsync(file.fileno())  # or the new name may outlive a machine that its bytes do not


def read_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, list[np.ndarray]]] | None:
    """Reads progress and arrays; None if there is no checkpoint.

    Raises:
      TrainingError: the file is damaged.
    """
    with _opened(folder) as stored:
        if stored is None:
            return None
        arrays: dict[str, list[np.ndarray]] = {}
        for key in stored.files:  # in the order in which they were written
            name, slash, _ = key.partition("/")
            if slash:
                arrays.setdefault(name, []).append(stored[key])
        return _progress_in(stored), arrays


def read_progress(folder: Path) -> dict[str, Any] | None:
    """Reads the progress alone, which takes little time however many weights there are."""
    with _opened(folder) as stored:
        return None if stored is None else _progress_in(stored)


@contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    path = folder / _NAME
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


def _progress_in(stored: Any) -> dict[str, Any]:
    progress: dict[str, Any] = json.loads(stored[_PROGRESS].tobytes())
    return progress
