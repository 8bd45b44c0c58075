import os
import tempfile
from pathlib import Path

import pytest
import tensorflow as tf
from hostile_names import NAMES, file_names
from hypothesis import given

from diptych.components.common.plain_paths import has_wildcards, plain_path


@given(name=file_names())
def test_a_plain_path_is_the_same_folder_without_wildcards(name):
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, name)
        folder.mkdir()
        with plain_path(folder) as plain:
            assert os.path.samefile(plain, folder)
            assert not has_wildcards(plain)
            assert has_wildcards(folder) == (plain != folder)
        assert folder.is_dir()
        assert plain == folder or not plain.is_symlink()


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_written_and_read_in_a_folder_of_any_name(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    module = tf.Module()
    module.value = tf.Variable([1.0, 2.0])
    with plain_path(folder) as plain:
        tf.saved_model.save(module, str(plain))
    with plain_path(folder) as plain:
        loaded = tf.saved_model.load(str(plain))
    assert loaded.value.numpy().tolist() == [1.0, 2.0]
    assert {path.name for path in folder.iterdir()} >= {"saved_model.pb", "variables"}


def test_a_temporary_folder_with_wildcards_is_not_used(tmp_path, monkeypatch):
    (tmp_path / "a[b]").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a[b]"))
    with plain_path(tmp_path / "a[b]") as plain:
        assert not has_wildcards(plain)
        assert os.path.samefile(plain, tmp_path / "a[b]")
