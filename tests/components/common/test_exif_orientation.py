import io
import struct
import warnings

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import GREY_NOISE, ORIENTATION, encode, png_chunk
from PIL import Image, ImageOps

from diptych.components.common.exif_orientation import find_orientation, turn_upright
from diptych.components.common.images import decode_image

JPEG = encode(Image.fromarray(GREY_NOISE), "JPEG")
PNG = encode(Image.fromarray(GREY_NOISE), "PNG")
SHORT, LONG = 3, 4
ORIENTATION_OF = tf.function(
    find_orientation, input_signature=[tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.bool)]
)


def jpeg_orientation(encoded):
    return ORIENTATION_OF(encoded, False)


def png_orientation(encoded):
    return ORIENTATION_OF(encoded, True)


def tiff(byte_order, entries, offset=8):
    """EXIF data with one directory of (tag, type, count, value)."""
    mark, order = {"little": (b"II", "<"), "big": (b"MM", ">")}[byte_order]
    content = mark + struct.pack(f"{order}HI", 42, offset) + bytes(offset - 8)
    content += struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        packed = struct.pack(f"{order}{'H' if kind == SHORT else 'I'}", value)
        content += struct.pack(f"{order}HHI", tag, kind, count) + packed.ljust(4, b"\0")
    return content + bytes(4)


def jpeg_with(exif, segments=(), padding=b""):
    """A JPEG with the given segments (marker and content), and EXIF data behind them."""
    body = b"".join(
        padding + b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content
        for marker, content in (*segments, (0xE1, b"Exif\0\0" + exif))
    )
    return JPEG[:2] + body + JPEG[2:]


def png_with(exif, at_end=False):
    chunk = png_chunk(b"eXIf", exif)
    at = PNG.index(b"IEND" if at_end else b"IDAT") - 4
    return PNG[:at] + chunk + PNG[at:]


def pillow_orientation(encoded):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
            orientation = image.getexif().get(ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


other_entries = st.lists(
    st.tuples(
        st.sampled_from([0x010F, 0x0110, 0x0111, 0x011A, 0x0132, 0x8769, 0xFFFF]),
        st.sampled_from([SHORT, LONG]),
        st.just(1),
        st.integers(0, 60_000),
    ),
    max_size=6,
)
segments = st.lists(
    st.tuples(
        st.sampled_from([0xE0, 0xE1, 0xE2, 0xED, 0xFE]),
        st.sampled_from(
            [
                b"JFIF\0\1\1\0\0\1\0\1\0\0",
                b"Exif",
                b"Exif\0",
                b"http://ns.adobe.com/xap/1.0/\0",
                b"x",
            ]
        ),
    ),
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(
    byte_order=st.sampled_from(["little", "big"]),
    before=other_entries,
    after=other_entries,
    kind=st.sampled_from([SHORT, LONG]),
    value=st.integers(0, 12),
    offset=st.integers(8, 40),
    segments=segments,
    padding=st.sampled_from([b"", b"\xff", b"\xff\xff"]),
    at_end=st.booleans(),
)
def test_valid_exif_data_are_read_as_by_pillow(
    byte_order, before, after, kind, value, offset, segments, padding, at_end
):
    exif = tiff(byte_order, [*before, (ORIENTATION, kind, 1, value), *after], offset)
    jpeg = jpeg_with(exif, segments, padding)
    expected = value if value in range(1, 9) else 1
    assert jpeg_orientation(jpeg) == expected == pillow_orientation(jpeg)
    png = png_with(exif, at_end)
    assert png_orientation(png) == expected == pillow_orientation(png)


@settings(max_examples=150, deadline=None)
@given(
    exif=st.one_of(
        st.binary(max_size=80),
        st.builds(
            lambda order, start, rest: tiff(order, [(ORIENTATION, SHORT, 1, 6)])[:start] + rest,
            st.sampled_from(["little", "big"]),
            st.integers(0, 26),
            st.binary(max_size=30),
        ),
    ),
    cut=st.integers(2, 120),
)
def test_damaged_exif_data_never_raise(exif, cut):
    for encoded, find in ((jpeg_with(exif), jpeg_orientation), (png_with(exif), png_orientation)):
        assert 1 <= find(encoded) <= 8
        assert 1 <= find(encoded[:cut]) <= 8
        assert sorted(decode_image(encoded, 1).shape[:2]) == [30, 40]


def test_exif_data_that_cannot_be_used_mean_upright():
    entry = (ORIENTATION, SHORT, 1, 6)
    assert jpeg_orientation(jpeg_with(tiff("big", [entry]))) == 6
    huge = bytearray(tiff("big", [entry]))
    huge[4:8] = b"\xff\xff\xff\xff"  # the directory is beyond the end
    many = bytearray(tiff("big", [entry]))
    many[8:10] = b"\xff\xff"  # with a single entry
    cases = {
        "no directory": (tiff("big", [])[:8], 1),
        "other tags": (tiff("little", [(0x010F, SHORT, 1, 6)]), 1),
        "two values": (tiff("little", [(ORIENTATION, SHORT, 2, 6)]), 1),
        "another type": (tiff("little", [(ORIENTATION, 1, 1, 6)]), 1),
        "orientation 9": (tiff("little", [(ORIENTATION, SHORT, 1, 9)]), 1),
        "offset beyond the end": (bytes(huge), 1),
        "more entries than bytes": (bytes(many), 6),
        "no TIFF": (b"XX\0\x2a" + tiff("big", [entry])[4:], 1),
    }
    for name, (exif, expected) in cases.items():
        assert jpeg_orientation(jpeg_with(exif)) == expected, name
        assert png_orientation(png_with(exif)) == expected, name


def test_exif_data_behind_the_pixels_of_a_jpeg_or_the_end_of_a_png_do_not_count():
    exif = tiff("big", [(ORIENTATION, SHORT, 1, 6)])
    segment = jpeg_with(exif)[2 : len(jpeg_with(exif)) - len(JPEG) + 2]
    assert jpeg_orientation(JPEG + segment) == 1
    assert png_orientation(PNG + png_chunk(b"eXIf", exif)) == 1


def test_a_png_may_have_the_prefix_of_a_jpeg():
    exif = tiff("little", [(ORIENTATION, SHORT, 1, 8)])
    assert png_orientation(png_with(b"Exif\0\0" + exif)) == 8


def test_images_are_turned_as_by_pillow():
    picture = np.random.default_rng(3).integers(0, 256, (4, 7, 3), np.uint8)
    for orientation in range(1, 9):
        image = Image.fromarray(picture)
        image.getexif()[ORIENTATION] = orientation
        expected = np.asarray(ImageOps.exif_transpose(image))
        turned = turn_upright(tf.constant(picture), tf.constant(orientation))
        np.testing.assert_array_equal(turned, expected)
