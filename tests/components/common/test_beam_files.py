import os
import string

import pytest
from apache_beam.io.filesystems import FileSystems
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.common import beam_files  # noqa: F401 (changes Beam)
from diptych.components.common.data_files import split_existing_folder

# Most names should contain characters that a pattern or a shell interprets.
names = st.text(
    st.sampled_from("[]*?{}!-^\\ %#&;$~'\"`\n\t\u00e4\u732b\U0001f600ab"), min_size=1, max_size=12
)


def write(folder, *files):
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        (folder / name).write_text(name)


def match(pattern):
    (result,) = FileSystems.match([str(pattern)])
    return sorted(file.path for file in result.metadata_list)


@settings(deadline=None)
@given(parts=st.lists(names, min_size=1, max_size=3), data=st.data())
def test_files_of_a_folder_with_any_name_are_found(tmp_path_factory, parts, data):
    root = tmp_path_factory.mktemp("root")
    folder = root.joinpath(*parts, "Split-train")
    write(folder, "a-00000-of-00002", "a-00001-of-00002", "b")
    # Neighbours that the name would match as a pattern.
    for neighbour in data.draw(st.lists(st.text(string.ascii_letters, min_size=1), max_size=3)):
        write(root / neighbour / "Split-train", "a-00000-of-00002")
    assert match(folder / "*") == [str(folder / name) for name in sorted(os.listdir(folder))]
    assert match(folder / "a-*-of-*") == [str(folder / f"a-0000{n}-of-00002") for n in (0, 1)]
    assert match(folder / "b") == [str(folder / "b")]
    assert match(f"{folder}/") == match(folder / "*")
    assert match(folder / "c*") == []


def test_an_existing_file_wins_over_the_wildcards_in_its_name(tmp_path):
    write(tmp_path, "a[1].gz", "a1.gz", "b?.gz", "b1.gz")
    assert match(tmp_path / "a[1].gz") == [str(tmp_path / "a[1].gz")]
    assert match(tmp_path / "b?.gz") == [str(tmp_path / "b?.gz")]
    assert match(tmp_path / "a[0-9].gz") == [str(tmp_path / "a1.gz")]
    assert match(tmp_path / "b[!?].gz") == [str(tmp_path / "b1.gz")]


def test_wildcards_keep_their_meaning_where_no_folder_has_the_name(tmp_path):
    write(tmp_path / "run1", "a")
    write(tmp_path / "run2", "a", "b")
    assert match(tmp_path / "run?" / "a") == [str(tmp_path / f"run{n}" / "a") for n in (1, 2)]
    assert match(tmp_path / "**") == sorted(map(str, tmp_path.glob("*/*")))


def test_a_limit_bounds_the_number_of_files(tmp_path):
    write(tmp_path, "a", "b", "c")
    (result,) = FileSystems.match([str(tmp_path / "*")], limits=[2])
    assert len(result.metadata_list) == 2


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("/a", ("/", "a")), ("/", ("/", "")), ("//a//b", ("/", "a/b")), ("a*/b", (".", "a*/b"))],
)
def test_a_pattern_without_existing_folders_is_not_split(pattern, expected):
    assert split_existing_folder(pattern) == expected
