import functools
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import (
    DEEP_NOISE,
    GREY_NOISE,
    NOISE,
    PICTURE,
    encode,
    exif,
    lossless_files,
    lossy_files,
    png_chunk,
    png_decompression_bomb,
    with_ink,
)
from PIL import Image, ImageOps

from diptych.components.common.images import (
    WHITE,
    ImageLimits,
    PreparedImage,
    decode_image,
    map_decoded,
    prepare_image,
    to_graph_format,
)

LIMITS = ImageLimits(10**6, 10**6)
LOSSLESS, LOSSY = lossless_files(), lossy_files()
FILES = {name: encoded for name, (encoded, _) in LOSSLESS.items()} | LOSSY
DAMAGED = {
    "empty": (b"", "empty (0 bytes)"),
    "text": (b"class,name\n1,cat\n", "not an image but text"),
    "png-cut": (FILES["png-RGB"][:1500], "a PNG that cannot be decoded"),
    "png-header-only": (FILES["png-RGB"][:40], "a PNG that cannot be decoded"),
    "png-signature-only": (FILES["png-RGB"][:10], "a PNG that cannot be decoded"),
    "png-flipped-byte": (
        FILES["png-RGB"][:900] + b"\x55\xaa" + FILES["png-RGB"][902:],
        "a PNG that cannot be decoded",
    ),
    "jpeg-cut": (FILES["jpeg-RGB"][: len(FILES["jpeg-RGB"]) // 2], "a JPEG that cannot be decoded"),
    "gif-cut": (FILES["gif"][:700], "a GIF that cannot be decoded"),
    "bmp-cut": (FILES["bmp-RGB"][:1000], "a BMP that cannot be decoded"),
    "webp-cut": (FILES["webp-RGB"][:1000], "a WebP that cannot be decoded"),
    "tiff-cut": (FILES["tiff-RGB"][:1000], "a TIFF that cannot be decoded"),
    "pgm-cut": (FILES["pgm"][:1000], "a PNM that cannot be decoded"),
    "tiff-float": (
        encode(Image.fromarray(NOISE[..., 0].astype(np.float32)), "TIFF"),
        "a TIFF with floating-point pixels: convert it to 8 or 16 bits",
    ),
    "tiff-signed": (
        encode(Image.fromarray(NOISE[..., 0]), "TIFF", tiffinfo={339: 2}),
        "a TIFF with signed bytes: convert it to unsigned ones",
    ),
    "tiff-lab": (
        encode(Image.merge("LAB", PICTURE.split()), "TIFF"),
        "a TIFF with the colour mode LAB: convert it to RGB",
    ),
    "raw-camera": (
        encode(PICTURE, "TIFF", tiffinfo={254: 1}),
        "a TIFF whose first image is a thumbnail, as in raw camera files: convert it to PNG or "
        "JPEG",
    ),
    "tiff-32-bit": (
        encode(Image.fromarray(np.array([[0, 70_000]], np.int32)), "TIFF"),
        "a TIFF with integers from 0 to 70000, outside 0 to 65535: convert it to 8 or 16 bits",
    ),
    "no-pixels": (b"P5 0 3 255\n", "a PNM that cannot be decoded"),
}


def pixels_of(encoded, **limits):
    prepared = prepare_image(encoded, ImageLimits(10**6, 10**6, **limits))
    assert isinstance(prepared, PreparedImage), prepared
    return prepared.pixels


@functools.cache
def graph(channels, size, background=WHITE):
    return tf.function(
        lambda encoded: decode_image(encoded, channels, size, background),
        input_signature=[tf.TensorSpec((), tf.string)],
    )


@functools.cache
def batch_graph(channels, size):
    """The graph of Transform: pixels of a batch as strings."""

    def to_string(image):
        length = size[0] * size[1] * channels
        return tf.strings.substr(tf.io.serialize_tensor(image), -length, length)

    return tf.function(
        lambda encoded: map_decoded(to_string, encoded, channels, size, WHITE, tf.string),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )


@pytest.mark.parametrize("name", LOSSLESS)
def test_the_pixels_of_lossless_formats_are_those_that_were_written(name):
    encoded, expected = LOSSLESS[name]
    np.testing.assert_array_equal(pixels_of(encoded), expected)


@pytest.mark.parametrize("name", LOSSY)
def test_the_pixels_of_lossy_formats_are_close_to_those_of_pillow(name):
    with Image.open(io.BytesIO(LOSSY[name])) as image:
        expected = np.asarray(image.convert("RGB")).astype(int)
    difference = np.abs(pixels_of(LOSSY[name]) - expected)
    assert difference.mean() < 2 and difference.max() < 24


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["png-RGB", "png-RGBA", "jpeg-RGB", "webp-RGB", "tiff-RGB"])
def test_every_orientation_is_applied_in_every_format_that_has_one(name, orientation):
    image_format = name.partition("-")[0]
    kind = {"tiff": "TIFF", "webp": "WEBP", "jpeg": "JPEG", "png": "PNG"}[image_format]
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    options |= {"lossless": True} if kind == "WEBP" else {}
    source = with_ink() if name == "png-RGBA" else PICTURE
    tagged = encode(source, kind, exif=exif(orientation), **options)
    plain = encode(source, kind, **options)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(tagged)))
    upright = pixels_of(plain)
    with_tag = Image.fromarray(upright)
    with_tag.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(pixels_of(tagged), np.asarray(ImageOps.exif_transpose(with_tag)))
    assert turned.size == pixels_of(tagged).shape[1::-1]


def test_orientations_turn_the_first_pixel_to_the_documented_corner():
    # EXIF 2.3, 4.6.4: where the first row and the first column of the file are in the scene.
    picture = np.zeros((2, 3, 3), np.uint8)
    picture[0, 0], picture[0, 2], picture[1, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    corner = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
    expected = {  # position of red, green, blue as (row, column)
        1: [(0, 0), (0, -1), (-1, 0)],
        2: [(0, -1), (0, 0), (-1, -1)],
        3: [(-1, -1), (-1, 0), (0, -1)],
        4: [(-1, 0), (-1, -1), (0, 0)],
        5: [(0, 0), (-1, 0), (0, -1)],
        6: [(0, -1), (-1, -1), (0, 0)],
        7: [(-1, -1), (0, -1), (-1, 0)],
        8: [(-1, 0), (0, 0), (-1, -1)],
    }
    for orientation, positions in expected.items():
        pixels = pixels_of(encode(Image.fromarray(picture), "PNG", exif=exif(orientation)))
        for color, position in zip(corner.values(), positions, strict=True):
            assert tuple(pixels[position]) == color, orientation


@pytest.mark.parametrize("name", FILES)
def test_graphs_return_the_pixels_of_the_ingest(name):
    prepared = prepare_image(FILES[name], LIMITS)
    np.testing.assert_array_equal(graph(3, None)(prepared.encoded), prepared.pixels)
    height, width, _ = prepared.pixels.shape
    (string,) = batch_graph(3, (height, width))(tf.constant([prepared.encoded])).numpy()
    assert string == prepared.pixels.tobytes()


def test_a_mixed_batch_has_the_pixels_of_its_images():
    names = [name for name in FILES if pixels_of(FILES[name]).shape == (40, 30, 3)]
    prepared = [prepare_image(FILES[name], LIMITS) for name in names]
    batches = [names, [name for name in names if name.startswith("png")], ["png-RGB", "jpeg-L"]]
    for batch in batches:
        rows = [names.index(name) for name in batch]
        strings = batch_graph(3, (40, 30))(tf.constant([prepared[row].encoded for row in rows]))
        assert strings.numpy().tolist() == [prepared[row].pixels.tobytes() for row in rows]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_resized_to_the_shape_of_the_input(channels):
    image = graph(channels, (8, 6))(FILES["png-RGBA"])
    assert image.shape == (8, 6, channels)
    assert image.dtype == tf.uint8


def test_an_empty_batch_has_no_pixels():
    assert batch_graph(3, (4, 4))(tf.constant([], tf.string)).shape == (0,)


def test_originals_are_kept_unless_the_graph_cannot_decode_them():
    for name, encoded in FILES.items():
        prepared = prepare_image(encoded, LIMITS)
        is_original = name.startswith(("png", "jpeg", "mpo"))
        assert (prepared.encoded == encoded) == is_original, name
        assert to_graph_format(encoded) == prepared.encoded


@pytest.mark.parametrize("name", ["gif", "bmp-RGB", "webp-RGB", "tiff-RGB", "ppm"])
def test_the_graph_refuses_other_formats_instead_of_decoding_them_differently(name):
    with pytest.raises(tf.errors.InvalidArgumentError, match="neither a PNG nor a JPEG"):
        graph(3, None)(FILES[name])
    with pytest.raises(tf.errors.InvalidArgumentError, match="neither a PNG nor a JPEG"):
        batch_graph(3, (8, 8))(tf.constant([FILES[name], FILES["png-RGB"]]))


def test_transparent_pixels_show_the_background():
    pixel = Image.new("RGBA", (2, 1))
    pixel.putpixel((0, 0), (100, 200, 50, 255))
    pixel.putpixel((1, 0), (100, 200, 50, 64))
    encoded = encode(pixel, "PNG")
    # 64 / 255 of the color and 191 / 255 of the background, to the nearest integer.
    assert pixels_of(encoded)[0].tolist() == [[100, 200, 50], [216, 241, 204]]
    assert pixels_of(encoded, background=(0, 0, 0))[0, 1].tolist() == [25, 50, 13]
    assert pixels_of(encoded, background=(10, 20, 30))[0, 1].tolist() == [33, 65, 35]
    grey = graph(1, None, (0, 0, 0))(encoded)[0, 1, 0]
    assert grey == round(0.2989 * 25 + 0.587 * 50 + 0.114 * 13)


def test_grey_values_are_kept_exactly():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    decoded = decode_image(encode(Image.fromarray(grey), "PNG"), 1)
    np.testing.assert_array_equal(decoded[..., 0], grey)


def test_shrinking_averages_over_the_pixels():
    checkers = np.indices((28, 28)).sum(axis=0) % 2 * 255
    decoded = decode_image(encode(Image.fromarray(checkers.astype(np.uint8)), "PNG"), 1, (7, 7))
    assert np.all(np.abs(decoded.numpy().astype(int)[1:-1, 1:-1] - 127) <= 8)


@pytest.mark.parametrize("name", DAMAGED)
def test_unusable_images_are_rejected_with_a_reason(name):
    encoded, reason = DAMAGED[name]
    assert prepare_image(encoded, LIMITS) == reason


def test_size_limits_are_checked_before_decoding(monkeypatch):
    for function in ("decode_image", "convert_file"):
        monkeypatch.setattr(
            f"diptych.components.common.images.{function}", lambda *_: pytest.fail("decoded")
        )
    limits = ImageLimits(10**6, 25_000_000)
    for side in (20_000, 8_000):
        bomb = png_decompression_bomb(side, side)
        assert len(bomb) < 60_000
        assert prepare_image(bomb, limits) == "more than 25000000 pixels (data.max_pixels)"
    assert "max_bytes" in prepare_image(FILES["png-RGB"], ImageLimits(100, 10**6))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_size_limits_apply_to_converted_formats(kind):
    encoded = encode(Image.new("L", (300, 100)), kind)
    assert "max_pixels" in prepare_image(encoded, ImageLimits(10**6, 29_999))
    assert pixels_of(encoded).shape == (100, 300, 3)


def test_a_canvas_of_a_gif_is_limited_and_later_frames_are_not_decoded():
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 4000, 4000, 0) + b"\x02\x02\x44\x01\x00"
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    assert "max_pixels" in prepare_image(screen + frame * 50 + b"\x3b", LIMITS)


def test_findings_name_oddities_of_usable_images():
    def findings_of(image, kind="PNG", **options):
        return prepare_image(encode(image, kind, **options), LIMITS).findings

    assert findings_of(PICTURE) == ()
    assert findings_of(Image.new("RGB", (5, 5), "red")) == ("is a single colour",)
    assert findings_of(Image.new("RGBA", (5, 5))) == ("is a single colour",)
    frames = {"save_all": True, "append_images": [PICTURE.rotate(90)]}
    several = ("has several frames, of which the first is used",)
    for kind in ("GIF", "TIFF", "WEBP", "PNG"):
        assert findings_of(PICTURE, kind, **frames) == several, kind
    assert findings_of(PICTURE, "MPO", **frames) == ()  # the depth map of a phone, for example
    assert findings_of(Image.fromarray(DEEP_NOISE)) == ()
    assert findings_of(Image.fromarray(DEEP_NOISE), "TIFF") == ()
    twelve_bits = DEEP_NOISE >> 4
    used = ("16-bit, but uses at most 12 bits (4095); the lower 8 bits of 16 are dropped",)
    assert findings_of(Image.fromarray(twelve_bits)) == used
    assert findings_of(Image.fromarray(twelve_bits), "TIFF") == used
    offset = (DEEP_NOISE >> 6) + np.uint16(40_000)
    assert findings_of(Image.fromarray(offset)) == (
        "16-bit, but its values differ by at most 1023 (10 bits); the lower 8 bits of 16 are "
        "dropped",
    )


def test_twelve_bits_of_a_tiff_use_the_full_range():
    values = np.array([[0, 1, 2048, 4095]], np.uint16)
    packed = bytes([0x00, 0x00, 0x01, 0x80, 0x0F, 0xFF])
    plain = encode(Image.fromarray(np.zeros((1, 4), np.uint8)), "TIFF", tiffinfo={})
    # The tags of an 8-bit TIFF, with 12 bits per sample and six bytes of pixels.
    entries = Image.open(io.BytesIO(plain)).tag_v2
    encoded = bytearray(plain)
    start = encoded.index(struct.pack("<HHI", 258, 3, 1))
    encoded[start + 8 : start + 12] = struct.pack("<HH", 12, 0)
    counts = encoded.index(struct.pack("<H", 279))
    encoded[counts + 8 : counts + 12] = struct.pack("<I", 6)
    encoded[entries[273][0] :] = packed
    expected = values.astype(int) * 65_535 // 4095 >> 8
    np.testing.assert_array_equal(pixels_of(bytes(encoded))[..., 0], expected)


def test_profiles_and_text_do_not_change_the_pixels():
    profile = zlib.compress(b"not a profile")
    plain = FILES["png-RGB"]
    at = plain.index(b"IDAT") - 4
    chunks = png_chunk(b"iCCP", b"x\0\0" + profile) + png_chunk(b"tEXt", b"Comment\0tRNS eXIf acTL")
    with_profile = plain[:at] + chunks + plain[at:]
    np.testing.assert_array_equal(pixels_of(with_profile), NOISE)
    jpeg = encode(Image.fromarray(GREY_NOISE), "JPEG", comment=b"Exif\0\0 in a comment", quality=95)
    without = encode(Image.fromarray(GREY_NOISE), "JPEG", quality=95)
    np.testing.assert_array_equal(pixels_of(jpeg), pixels_of(without))


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(FILES)),
    start=st.integers(0, 1500),
    patch=st.binary(min_size=1, max_size=8),
    cut=st.integers(0, 3000),
)
def test_damaged_bytes_never_raise(name, start, patch, cut):
    encoded = bytearray(FILES[name])
    encoded[start : start + len(patch)] = patch
    damaged = bytes(encoded[: cut or None])
    prepared = prepare_image(damaged, LIMITS)
    if isinstance(prepared, PreparedImage):
        np.testing.assert_array_equal(graph(3, None)(prepared.encoded), prepared.pixels)
    else:
        assert prepared
