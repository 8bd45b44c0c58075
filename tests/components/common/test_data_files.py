import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import PICTURE, encode

from diptych.components.common.data_files import find_images, to_printable

PNG = encode(PICTURE, "PNG")


def write(root, *names, content=PNG):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def names_of(found):
    return [file.name for file in found.files]


def test_images_are_found_by_their_content(tmp_path):
    write(tmp_path, "a/no_extension", "a/wrong.txt", "a/two.dots.PNG", "b/1.JPG", "b/c/2.webp")
    write(tmp_path, "a/text.png", content=b"text")  # read later, and rejected then
    write(tmp_path, "a/text", "README.md", content=b"text")
    write(tmp_path, "a/photo.heic", content=b"\0\0\0\x18ftypheic")
    write(tmp_path, "Thumbs.db", ".DS_Store", "a/desktop.ini", ".git/x.png", "a/.hidden.png")
    found = find_images(str(tmp_path))
    expected = ["a/no_extension", "a/text.png", "a/two.dots.PNG", "a/wrong.txt", "b/1.JPG"]
    assert names_of(found) == [*expected, "b/c/2.webp"]
    assert found.ignored == (
        ("README.md", "not an image but text"),
        ("a/text", "not an image but text"),
    )
    assert [name for name, _ in found.rejected] == ["a/photo.heic"]
    assert found.linked_folder is None


def test_known_extensions_are_not_opened(tmp_path):
    write(tmp_path, *(f"a/{number}.{kind}" for number, kind in enumerate(("png", "TIF", "jfif"))))
    for path in (tmp_path / "a").iterdir():
        os.truncate(path, 0)
    assert len(find_images(str(tmp_path)).files) == 3


def test_links_out_of_the_folder_and_loops_are_not_followed(tmp_path):
    write(tmp_path / "outside", "deep/secret.png", "other.png")
    root = write(tmp_path / "data", "a/1.png", "b/2.png")
    (root / "a" / "out.png").symlink_to(tmp_path / "outside" / "deep" / "secret.png")
    (root / "outside").symlink_to(tmp_path / "outside")
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "self.png").symlink_to(root / "a" / "self.png")
    (root / "a" / "within.png").symlink_to(root / "b" / "2.png")
    os.mkfifo(root / "a" / "pipe.png")
    found = find_images(str(root))
    assert names_of(found) == ["a/1.png", "a/within.png", "b/2.png"]
    assert dict(found.rejected) == {
        "a/out.png": "a symbolic link out of the data folder",
        "outside": "a symbolic link out of the data folder",
        "a/loop": "a symbolic link to a folder",
        "a/self.png": "a broken symbolic link",
        "a/pipe.png": "not a regular file",
    }
    assert found.linked_folder == str(tmp_path / "outside")


def test_links_are_followed_into_the_allowed_folder_only(tmp_path):
    cache = write(tmp_path / "cache", "md5/ab/cdef", "md5/ab/0123", "sets/c/3.png")
    write(tmp_path, "secret.png")
    root = write(tmp_path / "data", "a/1.png")
    (root / "a" / "2.png").symlink_to(cache / "md5" / "ab" / "cdef")
    (root / "a" / "relative.png").symlink_to("../../cache/md5/ab/0123")
    (cache / "chain").symlink_to(tmp_path / "secret.png")
    (root / "a" / "chain.png").symlink_to(cache / "chain")
    (root / "a" / "secret.png").symlink_to(tmp_path / "secret.png")
    (root / "c").symlink_to(cache / "sets" / "c")
    (root / "sibling.png").symlink_to(tmp_path / "cache-2")
    write(tmp_path / "cache-2", "4.png")
    (root / "d").symlink_to(tmp_path / "cache-2")  # its name only starts like the allowed folder
    found = find_images(str(root), str(cache))
    assert names_of(found) == ["a/1.png", "a/2.png", "a/relative.png", "c/3.png"]
    outside = "a symbolic link out of the data folder"
    assert dict(found.rejected) == {
        name: outside for name in ("a/chain.png", "a/secret.png", "d", "sibling.png")
    }


def test_the_allowed_folder_may_be_named_by_a_link(tmp_path):
    write(tmp_path / "store", "1.png")
    (tmp_path / "alias").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "1.png").symlink_to(tmp_path / "store" / "1.png")
    assert names_of(find_images(str(tmp_path / "data"), str(tmp_path / "alias"))) == ["a/1.png"]


def test_cycles_of_links_end_and_each_folder_is_read_once(tmp_path):
    root = write(tmp_path / "data", "a/1.png", "b/2.png")
    for name in "ab":
        for number, target in enumerate((tmp_path, root, root / "a", root / "b")):
            (root / name / f"link-{number}").symlink_to(target)
    found = find_images(str(root), str(tmp_path))
    assert names_of(found) == ["a/1.png", "b/2.png"]
    reason = "a symbolic link to a folder that is read under another name"
    assert {text for _, text in found.rejected} == {reason}


def test_a_folder_that_is_linked_twice_belongs_to_the_first_name(tmp_path):
    write(tmp_path / "store", "1.png", "2.png")
    (tmp_path / "data").mkdir()
    for name in ("b", "a"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "store")
    found = find_images(str(tmp_path / "data"), str(tmp_path / "store"))
    assert names_of(found) == ["a/1.png", "a/2.png"]
    assert [name for name, _ in found.rejected] == ["b"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    raw=st.binary(min_size=1, max_size=40).filter(
        lambda name: not {0, ord("/")} & set(name) and not name.startswith(b".")
    )
)
def test_any_file_name_is_found_or_rejected_with_printable_text(tmp_path_factory, raw):
    root = tmp_path_factory.mktemp("names")
    folder = os.fsencode(root) + b"/a"
    os.mkdir(folder)
    with open(folder + b"/" + raw, "wb") as file:
        file.write(PNG)
    found = find_images(str(root))
    name = "a/" + os.fsdecode(raw)
    if names_of(found):
        assert names_of(found) == [name]
        name.encode()
    elif found.rejected:
        assert found.rejected == ((to_printable(name), "file name is not UTF-8"),)
        found.rejected[0][0].encode()
    else:
        assert name[2:].lower() in ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r")


def test_folders_that_cannot_be_read_are_rejected(tmp_path, monkeypatch):
    write(tmp_path, "a/1.png", "b/2.png")
    scan = os.scandir

    def deny(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", deny)
    found = find_images(str(tmp_path))
    assert names_of(found) == ["a/1.png"]
    assert found.rejected == (("b", "folder cannot be read: Permission denied"),)


@pytest.mark.parametrize("name", ["a/1.webp", "a/1.WEBP"])
def test_webp_files_count_as_the_png_that_they_become(tmp_path, name):
    write(tmp_path, name)
    (file,) = find_images(str(tmp_path)).files
    assert file.example_size == 12 * file.size
