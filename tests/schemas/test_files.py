import pytest

from diptych.schemas.files import PARTIAL_SUFFIX, atomic_folder, atomic_write


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
