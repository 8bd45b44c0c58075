import pytest

from diptych.schemas.files import whole_folder


def test_a_folder_has_its_name_when_all_is_written(tmp_path):
    place = tmp_path / "new" / "place"
    with whole_folder(place) as beside:
        (beside / "inside").mkdir()
        assert not place.exists()
    assert [path.name for path in place.iterdir()] == ["inside"]
    assert list(place.parent.iterdir()) == [place]
    assert place.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="no luck"), whole_folder(tmp_path / "place") as beside:
        (beside / "inside").mkdir()
        raise ValueError("no luck")
    assert list(tmp_path.iterdir()) == []
