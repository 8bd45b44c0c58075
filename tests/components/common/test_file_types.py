import io
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_files import lossless_files, lossy_files

from diptych.components.common.file_types import (
    HEAD_BYTES,
    describe_other_file,
    recognize_image,
)


def zip_file():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", b"x")
    return buffer.getvalue()


def tar_file():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    return buffer.getvalue()


def numpy_file():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def parquet_file():
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), buffer)
    return buffer.getvalue()


OTHER_IMAGES = {
    "an AVIF image": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
    "a HEIC image": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "a JPEG 2000 image": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20),
    "a JPEG XL image": b"\xff\x0a" + bytes(30),
    "a Photoshop image": b"8BPS\0\1" + bytes(20),
    "an OpenEXR image": b"\x76\x2f\x31\x01" + bytes(20),
    "a DICOM image": bytes(128) + b"DICM" + bytes(20),
    "an icon": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0" + bytes(20),
    "a raw camera image": b"II*\0\x10\0\0\0CR\2\0" + bytes(20),
    "an SVG image": b'<?xml version="1.0"?>\n<!-- drawn --> <svg xmlns="x">',
}
OTHER_FILES = {
    "not an image but a PDF document": b"%PDF-1.7\n",
    "not an image but a zip archive": zip_file(),
    "not an image but a gzip archive": b"\x1f\x8b\x08\0" + bytes(10),
    "not an image but a tar archive": tar_file(),
    "not an image but a NumPy array": numpy_file(),
    "not an image but a Parquet table": parquet_file(),
    "not an image but a video": b"\0\0\0\x18ftypisom\0\0\2\0isom",
    "not an image but text": "Ö, a README about BMW and P5\n".encode(),
    "not an image of a known format": bytes(range(256)),
    "empty (0 bytes)": b"",
}


@pytest.mark.parametrize(
    "encoded", [each for each, _ in lossless_files().values()] + list(lossy_files().values())
)
def test_images_are_recognized_by_their_first_bytes(encoded):
    assert recognize_image(encoded[:HEAD_BYTES]) == recognize_image(encoded) is not None


def test_the_format_is_named():
    for name, (encoded, _) in lossless_files().items():
        kind = {"webp": "WebP", "pbm": "PNM", "pgm": "PNM", "ppm": "PNM"}
        family = name.partition("-")[0]
        assert recognize_image(encoded) == kind.get(family, family.upper())


@pytest.mark.parametrize("name", OTHER_IMAGES)
def test_images_that_diptych_does_not_read_are_named_with_a_remedy(name):
    assert recognize_image(OTHER_IMAGES[name]) is None
    reason = f"{name}, which Diptych does not read: convert it to PNG or JPEG"
    assert describe_other_file(OTHER_IMAGES[name]) == (reason, True)


@pytest.mark.parametrize("reason", OTHER_FILES)
def test_other_files_are_named(reason):
    assert recognize_image(OTHER_FILES[reason]) is None
    assert describe_other_file(OTHER_FILES[reason]) == (reason, False)


def test_a_pointer_of_git_lfs_has_its_own_remedy():
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    reason, _ = describe_other_file(pointer)
    assert "fetch the files with git lfs pull" in reason


def test_text_may_be_cut_within_a_character():
    text = ("ä" * HEAD_BYTES).encode()[: HEAD_BYTES + 1]
    assert describe_other_file(text) == ("not an image but text", False)


@pytest.mark.parametrize(
    "text", [b"BMW models\n", b"P5 is a format\n", b"II*", b"RIFF", b"GIF8", b"MM"]
)
def test_text_that_starts_like_an_image_is_text(text):
    assert recognize_image(text) is None
    assert describe_other_file(text) == ("not an image but text", False)


@given(st.binary(max_size=400))
def test_any_content_is_described(content):
    reason, _ = describe_other_file(content)
    assert reason
