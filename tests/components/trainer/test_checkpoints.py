import os

import numpy as np
import pytest

from diptych.components.trainer.checkpoints import read_checkpoint, read_progress, write_checkpoint
from diptych.schemas.errors import TrainingError

PROGRESS = {"epoch": 2, "losses": [0.5, 0.25], "curves": []}
ARRAYS = {
    "state": [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7), np.zeros((0, 2))],
    "best": [np.full(3, number) for number in range(12)],  # more than ten: "10" is before "2"
}


def test_it_gives_back_what_it_took(tmp_path):
    write_checkpoint(tmp_path / "new", PROGRESS, ARRAYS)
    progress, arrays = read_checkpoint(tmp_path / "new")
    assert progress == read_progress(tmp_path / "new") == PROGRESS
    assert list(arrays) == list(ARRAYS)
    for name, several in ARRAYS.items():
        for mine, theirs in zip(arrays[name], several, strict=True):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)


def test_where_there_is_none_none_is_read(tmp_path):
    assert read_checkpoint(tmp_path) is None
    assert read_progress(tmp_path / "missing") is None


def test_one_that_fails_half_way_leaves_the_one_before(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, PROGRESS, ARRAYS)

    def full(_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(tmp_path, {"epoch": 3, "losses": []}, ARRAYS)
    assert read_progress(tmp_path) == PROGRESS
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_damaged_one_is_named(tmp_path, kept):
    write_checkpoint(tmp_path, PROGRESS, ARRAYS)
    path = tmp_path / "checkpoint.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if kept < 1 else kept])
    with pytest.raises(TrainingError, match=r"checkpoint\.npz cannot be read.*Remove it"):
        read_checkpoint(tmp_path)
