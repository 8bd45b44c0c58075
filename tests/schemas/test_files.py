import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from diptych.schemas.files import PARTIAL_SUFFIX, atomic_folder, atomic_write, empty_folder


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with atomic_write(path) as partial:
        partial.write_text("new")
        assert partial.name.endswith(PARTIAL_SUFFIX)
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_fails_is_deleted_and_the_previous_one_kept(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ValueError, match="no luck"), atomic_write(path) as partial:
        partial.write_text("new")
        raise ValueError("no luck")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_vanished_folder_does_not_hide_the_error(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(ValueError, match="no luck") as raised, atomic_write(folder / "file"):
        folder.rmdir()
        folder.write_text("a file: the path of the partial file is invalid now")
        raise ValueError("no luck")
    assert "NotADirectoryError" in raised.value.__notes__[0]


@settings(deadline=None)
@given(
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=255
    ).filter(lambda name: name not in (".", "..") and len(name.encode()) <= 255)
)
@example("ä" * 127)
@example("a" * 255)
@example("😀" * 63)
def test_every_file_name_can_be_written(name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        with atomic_write(path) as partial:
            partial.write_text("new")
        assert path.read_text() == "new"
        path.unlink()
        with atomic_folder(path) as partial:
            (partial / "file").touch()
        assert [entry.name for entry in Path(folder).iterdir()] == [name]


def test_a_folder_is_emptied_but_remains(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    folder = tmp_path / "folder"
    (folder / "inside" / "deep").mkdir(parents=True)
    (folder / "file").touch()
    (folder / "link").symlink_to(tmp_path / "outside")
    empty_folder(folder)
    assert list(folder.iterdir()) == []
    assert (tmp_path / "outside" / "file").exists()
    empty_folder(tmp_path / "missing")


def test_a_folder_has_its_name_only_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "folder"
    with atomic_folder(path) as partial:
        (partial / "inside").mkdir()
        assert not path.exists()
    assert [child.name for child in path.iterdir()] == ["inside"]
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_fails_is_deleted(tmp_path):
    with pytest.raises(ValueError, match="no luck"), atomic_folder(tmp_path / "folder") as partial:
        (partial / "inside").mkdir()
        raise ValueError("no luck")
    assert list(tmp_path.iterdir()) == []
