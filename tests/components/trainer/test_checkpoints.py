import os

import numpy as np
import pytest

from diptych.components.trainer.checkpoints import load_checkpoint, load_progress, save_checkpoint
from diptych.schemas.errors import TrainingError

PROGRESS = {"epoch": 2, "losses": [0.5, 0.25], "curves": []}
ARRAYS = {
    "state": [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7), np.zeros((0, 2))],
    "best": [np.full(3, number) for number in range(12)],  # more than ten: "10" sorts before "2"
}


def test_a_checkpoint_round_trips(tmp_path):
    save_checkpoint(tmp_path / "new", PROGRESS, ARRAYS)
    progress, arrays = load_checkpoint(tmp_path / "new")
    assert progress == load_progress(tmp_path / "new") == PROGRESS
    assert list(arrays) == list(ARRAYS)
    for name, saved_arrays in ARRAYS.items():
        for loaded, saved in zip(arrays[name], saved_arrays, strict=True):
            assert loaded.dtype == saved.dtype
            np.testing.assert_array_equal(loaded, saved)


def test_a_missing_checkpoint_loads_as_none(tmp_path):
    assert load_checkpoint(tmp_path) is None
    assert load_progress(tmp_path / "missing") is None


def test_a_failed_save_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, PROGRESS, ARRAYS)

    def fsync_on_full_disk(_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", fsync_on_full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, {"epoch": 3, "losses": []}, ARRAYS)
    assert load_progress(tmp_path) == PROGRESS
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


@pytest.mark.parametrize("remaining", [0, 10, 0.5, 0.99])
def test_a_damaged_checkpoint_raises_an_error_with_its_path(tmp_path, remaining):
    save_checkpoint(tmp_path, PROGRESS, ARRAYS)
    path = tmp_path / "checkpoint.npz"
    content = path.read_bytes()
    path.write_bytes(content[: int(remaining * len(content)) if remaining < 1 else remaining])
    with pytest.raises(TrainingError, match=r"checkpoint\.npz cannot be read.*Remove it"):
        load_checkpoint(tmp_path)
