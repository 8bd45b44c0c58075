"""Every format, mode and orientation has the same pixels wherever a model sees an image."""

import io

import numpy as np
import pytest
import tensorflow as tf
from image_files import (
    DEEP_NOISE,
    GREY_NOISE,
    NOISE,
    PICTURE,
    encode,
    exif,
    lossless_files,
    lossy_files,
    with_ink,
)
from PIL import Image
from pushed_model import push_images

from diptych.components.common.images import ImageLimits, PreparedImage, prepare_image
from diptych.components.evaluator.thumbnails import render_thumbnails
from diptych.components.example_gen.encoding import encode_examples
from diptych.components.example_gen.example_batch import bytes_feature
from diptych.inference.gallery import Gallery
from diptych.inference.model import Model
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.model_card import ModelCard

SIZE = (40, 30)
FILES = {
    **{name: encoded for name, (encoded, _) in lossless_files().items()},
    **lossy_files(),
    **{
        f"{kind}-orientation-{orientation}": encode(PICTURE, kind, exif=exif(orientation))
        for kind in ("PNG", "JPEG", "WEBP", "TIFF")
        for orientation in range(1, 9)
    },
}
BLACK = (0, 0, 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(push_images(tmp_path_factory.mktemp("serving"), size=SIZE, channels=3))


@pytest.fixture(scope="module")
def embeddings(model):
    """Embeddings by name, from the pixels of the ingest: the mean brightness of each quarter."""
    return {name: quarters(prepare(encoded).pixels) for name, encoded in FILES.items()}


def prepare(encoded, background=(255, 255, 255)):
    prepared = prepare_image(encoded, ImageLimits(10**6, 10**6, background))
    assert isinstance(prepared, PreparedImage)
    return prepared


def quarters(pixels):
    resized = tf.image.resize(pixels, SIZE, method="bilinear", antialias=True)
    scaled = np.clip(np.round(resized), 0, 255) / 255
    blocks = scaled.reshape(2, 20, 2, 15, 3)
    return blocks.mean(axis=(1, 3, 4)).ravel()


def assert_equal(values, expected):
    # A pixel that differs by 1 changes a mean by 4e-6.
    np.testing.assert_allclose(values, expected, rtol=0, atol=2e-6)


def test_the_exported_model_sees_the_pixels_of_the_ingest(model, embeddings):
    raw = np.array([prepare(encoded).encoded for encoded in FILES.values()], object)
    exported = tf.saved_model.load(str(model.path))
    values = exported.signatures["embed"](image=tf.constant(raw))["embedding"]
    assert_equal(values, list(embeddings.values()))


def test_the_model_card_lists_the_formats_of_the_raw_graph(model):
    assert ModelCard.read(model.path).image_formats == ("PNG", "JPEG")
    exported = tf.saved_model.load(str(model.path))
    for name in ("gif", "bmp-RGB", "webp-RGB", "tiff-RGB", "ppm"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="neither a PNG nor a JPEG"):
            exported.signatures["embed"](image=tf.constant([FILES[name]]))


def test_files_bytes_and_galleries_have_the_pixels_of_the_ingest(model, embeddings, tmp_path):
    for name, encoded in FILES.items():
        (tmp_path / "files" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "files" / name).write_bytes(encoded)
    expected = list(embeddings.values())
    assert_equal(model.embed(list(FILES.values())), expected)
    assert_equal(model.embed([tmp_path / "files" / name for name in FILES]), expected)
    # In Pillow, a transparent color of 2 or 4 bits does not match any pixel.
    names = [
        name for name in FILES if name not in ("png-2-bit-transparent", "png-4-bit-transparent")
    ]
    lossy = {name for name in names if name.startswith(("jpeg", "JPEG", "mpo"))}
    images = [Image.open(io.BytesIO(FILES[name])) for name in names]
    for name, value in zip(names, model.embed(images), strict=True):
        # Pillow decodes JPEG itself, with other rounding.
        np.testing.assert_allclose(
            value, embeddings[name], rtol=0, atol=0.01 if name in lossy else 2e-6, err_msg=name
        )


def test_a_gallery_keeps_the_originals_and_embeds_them_again(model, embeddings, tmp_path):
    raw = np.array(list(FILES.values()), object)
    gallery = Gallery.create_or_open(tmp_path / "gallery", model.pushed)
    result = gallery.enroll(list(FILES), model.pushed.embed(raw), list(FILES), raw)
    assert result.added == len(set(FILES.values()))
    newer = Model(push_images(tmp_path / "newer", 2, size=SIZE, channels=3, scale=2.0))
    gallery = Gallery.re_embed(tmp_path / "gallery", newer.pushed)
    queries = np.array(list(embeddings.values()), np.float32) * 2
    for candidates in gallery.identify(queries, k=1):
        assert candidates[0].distance < 1e-4


def test_thumbnails_show_the_pixels_of_the_ingest(tmp_path):
    import pyarrow as pa

    names = sorted(FILES)
    ids = np.zeros((len(names), 16), np.uint8)
    ids[:, 15] = range(len(names))
    prepared = [prepare(FILES[name], BLACK) for name in names]
    batch = pa.record_batch(
        {
            "id": bytes_feature(bytes(each).hex() for each in ids),
            "source": bytes_feature(names),
            "image": bytes_feature(each.encoded for each in prepared),
        }
    )
    with tf.io.TFRecordWriter(str(tmp_path / "raw")) as writer:
        for example in encode_examples(batch):
            writer.write(example)
    inputs = InputSpec(kind="image", size=SIZE, channels=3, background=BLACK)
    thumbnails = render_thumbnails([str(tmp_path / "raw")], inputs, ids)
    for thumbnail, each, name in zip(thumbnails, prepared, names, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(thumbnail)).convert("RGB"))
        np.testing.assert_array_equal(shown, each.pixels, err_msg=name)


def test_arrays_and_images_have_the_pixels_of_a_file(model):
    deep = np.repeat((DEEP_NOISE >> 8)[..., None], 3, axis=2).astype(np.uint8)
    grey = np.repeat(GREY_NOISE[..., None], 3, axis=2)
    ink, grey_ink = with_ink(), with_ink("LA")
    on_white = prepare(encode(ink, "PNG")).pixels
    grey_on_white = prepare(encode(grey_ink, "PNG")).pixels
    wide = NOISE.astype(np.uint16) * 257
    expected = [
        (NOISE, NOISE),
        (GREY_NOISE, grey),
        (GREY_NOISE[..., None], grey),
        (np.asarray(ink), on_white),
        (np.asarray(grey_ink), grey_on_white),
        (DEEP_NOISE, deep),
        (DEEP_NOISE[..., None], deep),
        (wide, NOISE),
        (np.dstack([wide, np.asarray(ink)[..., 3].astype(np.uint16) * 257]), on_white),
        (PICTURE, NOISE),
        (ink, on_white),
        (grey_ink, grey_on_white),
        (Image.fromarray(DEEP_NOISE), deep),
        (Image.fromarray(DEEP_NOISE.astype(np.int32)), deep),
        (PICTURE.convert("RGBX"), NOISE),
        (PICTURE.convert("YCbCr"), np.asarray(PICTURE.convert("YCbCr").convert("RGB"))),
        (PICTURE.convert("HSV"), np.asarray(PICTURE.convert("HSV").convert("RGB"))),
        (PICTURE.convert("CMYK"), np.asarray(PICTURE.convert("CMYK").convert("RGB"))),
        (PICTURE.quantize(16), np.asarray(PICTURE.quantize(16).convert("RGB"))),
        (ink.convert("La").convert("LA"), None),
        (ink.convert("RGBa").convert("RGBA"), None),
    ]
    for example, pixels in expected:
        (value,) = model.embed([example])
        if pixels is not None:
            assert_equal(value, quarters(pixels))


def test_an_open_photo_is_compared_upright(model):
    phone = encode(PICTURE.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif(6))
    opened = Image.open(io.BytesIO(phone))
    for example in (phone, opened):
        assert model.compare(example, PICTURE).distance == pytest.approx(0, abs=1e-6)
    assert opened.getexif()[0x0112] == 6  # the object of the caller is not changed


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        (np.zeros((4, 4), np.float32), r"an array of float32 with the shape \(4, 4\)"),
        (np.zeros((4, 4, 5), np.uint8), r"with the shape \(4, 4, 5\)"),
        (Image.new("F", (4, 4)), "an image with floating-point pixels: convert it to 8 or 16 bits"),
        (Image.new("LAB", (4, 4)), "an image with the colour mode LAB: convert it to RGB"),
        (
            Image.fromarray(np.array([[-1, 5]], np.int32)),
            "an image with integers from -1 to 5, outside 0 to 65535",
        ),
        (b"%PDF-1.7", "not an image but a PDF document"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avif", "an AVIF image, which Diptych does not read"),
    ],
)
def test_examples_that_are_no_images_are_explained(model, example, reason):
    with pytest.raises(DataError, match=reason):
        model.embed([example])
