import struct
import time
import zlib

import pytest
from image_files import (
    encode,
    exif,
    gif_with_extension,
    jpeg_with_scans,
    lossless_files,
    lossy_files,
    png_chunk,
    png_of_rows,
    tiff_with_tags,
)
from PIL import Image

from diptych.components.common.decoding_work import find_excessive_work
from diptych.components.common.file_types import recognize_image
from diptych.components.common.images import ImageLimits, PreparedImage, prepare_image

LIMITS = ImageLimits(10**8, 10**6)
TEXT_BOMB = b"a\0\0" + zlib.compress(bytes(8_000_000), 9)
ROWS = [bytes(8)] * 8
GREY = Image.new("L", (8, 8))


def png_with(name, content, number):
    """Build a PNG with a number of equal chunks in front of the pixels."""
    encoded = png_of_rows(ROWS, 8, 8, 0)
    return encoded[:33] + png_chunk(name, content) * number + encoded[33:]


def png_with_surplus(megabytes):
    """Build a PNG with zeros after the pixels; 1 MB takes 1 kB."""
    packer = zlib.compressobj(9)
    start = packer.compress(b"".join(b"\0" + row for row in ROWS)) + packer.flush(zlib.Z_FULL_FLUSH)
    repeated = packer.compress(bytes(10**6)) + packer.flush(zlib.Z_FULL_FLUSH)
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", start + repeated * megabytes), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def bmp_with_run_lengths(content):
    header = struct.pack("<LllHHLLllLL", 40, 8, 8, 1, 8, 1, len(content), 0, 0, 256, 256)
    start = struct.pack("<LHHL", 1078 + len(content), 0, 0, 1078)
    return b"BM" + start + header + bytes(1024) + content


def jpeg_with(inserted):
    encoded = encode(GREY, "JPEG")
    return encoded[:2] + inserted + encoded[2:]


EXCESSIVE = {
    "jpeg-scans": (jpeg_with_scans(200), "a JPEG with more than 30 scans: save it again"),
    "jpeg-markers": (jpeg_with(b"\xff\xfe\0\2" * 30_000), "a JPEG with more than 10058 markers"),
    "jpeg-fill-bytes": (jpeg_with(b"\xff" * 30_000), "a JPEG with more than 10014 markers"),
    "png-texts": (png_with(b"zTXt", TEXT_BOMB, 9), "a PNG with compressed texts of more than 64"),
    "png-chunks": (png_with(b"tEXt", b"a\0b", 12_000), "a PNG with more than 10087 chunks"),
    "png-empty-data": (png_with(b"IDAT", b"", 12_000), "a PNG with more than 10070 chunks"),
    "png-surplus": (png_with_surplus(1_100), "a PNG with more data than pixels"),
    "gif-comment": (gif_with_extension(254, [b"x" * 255] * 5_000), "a GIF with comments of more"),
    "bmp-run-lengths": (
        bmp_with_run_lengths(b"\0\2\0\0" * 2_100_000),
        "a BMP with more than 8000000 bytes of run lengths",
    ),
    "pnm-comments": (
        b"P3\n8 8 255\n" + b"#\n" * 20_000 + b"0 " * 192,
        "a PNM with more than 10000",
    ),
    "pnm-header": (
        b"P6\n" + b"#\n" * 40_000 + b"8 8 255\n" + bytes(192),
        "a PNM with a header of more than 65536 bytes",
    ),
    "pnm-text": (
        b"P3\n1000 1000 255\n" + b"0  " * 3_000_000,
        "a PNM with more than 8000000 bytes of text",
    ),
    "pnm-12-bit": (
        b"P5\n1000 1000 4095\n" + bytes(9_000_000),
        "a PNM with more than 8000000 bytes of numbers up to 4095",
    ),
    "tiff-shared-bytes": (
        tiff_with_tags([(40_000 + i, 7, 30_000, 8) for i in range(100)], bytes(40_000)),
        "a TIFF with tags that refer to the same bytes",
    ),
    "tiff-tiles": (
        tiff_with_tags([(324, 4, 100_001, 8)], bytes(400_100)),
        "a TIFF with more than 100000 strips or tiles",
    ),
}


@pytest.mark.parametrize("name", EXCESSIVE)
def test_a_file_that_would_keep_the_decoder_busy_is_rejected_before_it_is_decoded(name):
    encoded, reason = EXCESSIVE[name]
    started = time.process_time()
    result = prepare_image(encoded, LIMITS)
    assert isinstance(result, str)
    assert result.startswith(reason)
    assert time.process_time() - started < 1


FILES = {
    **{name: encoded for name, (encoded, _) in lossless_files().items()},
    **lossy_files(),
    "jpeg-progressive": encode(Image.new("RGB", (900, 900)), "JPEG", progressive=True),
    "jpeg-many-scans-of-a-small-image": jpeg_with_scans(200, side=300),
    "jpeg-exif": encode(GREY, "JPEG", exif=exif(6)),
    "jpeg-comments": jpeg_with(b"\xff\xfe\0\2" * 500),
    "png-texts": png_with(b"zTXt", b"a\0\0" + zlib.compress(b"text" * 100), 100),
    "png-profile": encode(GREY, "PNG", icc_profile=bytes(range(256)) * 2000),
    "gif-comment": gif_with_extension(254, [b"x" * 255] * 100),
    "gif-frames": encode(
        GREY, "GIF", save_all=True, append_images=[Image.new("L", (8, 8), 9)] * 50
    ),
    "bmp-run-lengths": bmp_with_run_lengths(b"\x08\1\0\0" * 8 + b"\0\1"),
    "pnm-comment": b"P6\n# a comment\n8 8\n255\n" + bytes(192),
    "pnm-65535": b"P5 1000 1000 65535\n" + bytes(2_000_000),
    "pnm-bits": b"P4\n64 64\n" + bytes(512),
    "tiff-tag": tiff_with_tags([(40_000, 7, 5_000, 8)], bytes(6_000)),
    "tiff-pages": encode(GREY, "TIFF", save_all=True, append_images=[GREY] * 50),
}


@pytest.mark.parametrize("name", FILES)
def test_files_as_programs_write_them_are_accepted(name):
    assert isinstance(prepare_image(FILES[name], LIMITS), PreparedImage)


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_left_to_the_decoder(name):
    encoded = FILES[name]
    image_format = recognize_image(encoded)
    for length in {*range(4, min(len(encoded), 200)), len(encoded) // 2, len(encoded) - 1}:
        assert find_excessive_work(encoded[:length], image_format, 10**6) is None


def test_a_big_tiff_is_checked():
    entries = [(40_000 + i, 7, 1_000, 16) for i in range(50)]
    directory = struct.pack("<Q", 50) + b"".join(struct.pack("<HHQQ", *entry) for entry in entries)
    header = b"II+\0\x08\0\0\0" + struct.pack("<Q", 1_016)
    encoded = header + bytes(1_000) + directory
    reason = find_excessive_work(encoded, "TIFF", 10**6)
    assert reason.startswith("a TIFF with tags that refer to the same bytes: save it again")
