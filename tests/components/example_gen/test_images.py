import io
import os
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from diptych.components.common.images import decode_image, find_image_error
from diptych.components.example_gen.images import read_images
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.span_files import find_files
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import ConfigError, DataError

NOISE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
PICTURE = Image.fromarray(NOISE)


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(name, content):
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png_decompression_bomb(width, height):
    """Build a valid PNG of one color, a few kilobytes for any number of pixels."""
    packer = zlib.compressobj(9)
    rows = (
        b"".join(packer.compress(b"\0" * (width // 8 + 1)) for _ in range(height)) + packer.flush()
    )
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def gif_of_large_frames(num_frames, side):
    """Build a 1 x 1 GIF whose frame headers have side x side pixels each."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x44\x01\x00"
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return screen + frame * num_frames + b"\x3b"


GOOD = {
    **{
        f"png-{mode}": encode(PICTURE.convert(mode), "PNG")
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    },
    "png-16-bit": encode(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257), "PNG"),
    **{f"jpeg-{mode}": encode(PICTURE.convert(mode), "JPEG") for mode in ("L", "RGB", "CMYK")},
    "jpeg-progressive": encode(PICTURE, "JPEG", progressive=True),
    "gif": encode(PICTURE, "GIF"),
    "gif-animated": encode(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]),
    "gif-transparent": encode(PICTURE.convert("P"), "GIF", transparency=3),
    **{f"bmp-{mode}": encode(PICTURE.convert(mode), "BMP") for mode in ("L", "RGB", "RGBA")},
}
DAMAGED = {
    "empty": b"",
    "text": b"class,name\n1,cat\n",
    "png-cut": GOOD["png-RGB"][:1500],
    "png-header-only": GOOD["png-RGB"][:40],
    "png-flipped-byte": GOOD["png-RGB"][:900] + b"\x55\xaa" + GOOD["png-RGB"][902:],
    "jpeg-cut": GOOD["jpeg-RGB"][: len(GOOD["jpeg-RGB"]) // 2],
    "gif-cut": GOOD["gif"][:1000],
    "bmp-cut": GOOD["bmp-RGB"][:1000],
    "bmp-palette": encode(PICTURE.convert("P"), "BMP"),
    "bmp-1-bit": encode(PICTURE.convert("1"), "BMP"),
    "webp": encode(PICTURE, "WEBP"),
    "tiff": encode(PICTURE, "TIFF"),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("channels", [1, 3])
def test_accepted_images_decode_in_a_graph(name, channels):
    assert find_image_error(GOOD[name], 10**6, 10**6) is None
    decode = tf.function(lambda encoded: decode_image(encoded, channels, (8, 6)))
    image = decode(tf.constant(GOOD[name]))
    assert image.shape == (8, 6, channels)
    assert image.dtype == tf.uint8


@pytest.mark.parametrize("name", ["png-RGB", "bmp-RGB"])
def test_lossless_formats_keep_the_pixels(name):
    np.testing.assert_array_equal(decode_image(GOOD[name], 3), NOISE)


def test_grey_values_are_kept_exactly():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    decoded = decode_image(encode(Image.fromarray(grey), "PNG"), 1)
    np.testing.assert_array_equal(decoded[..., 0], grey)


def test_shrinking_averages_over_the_pixels():
    checkers = np.indices((28, 28)).sum(axis=0) % 2 * 255
    decoded = decode_image(encode(Image.fromarray(checkers.astype(np.uint8)), "PNG"), 1, (7, 7))
    assert np.all(np.abs(decoded.numpy().astype(int)[1:-1, 1:-1] - 127) <= 8)


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_or_foreign_bytes_are_rejected(name):
    assert find_image_error(DAMAGED[name], 10**6, 10**6)


def test_size_limits_are_checked_before_decoding(monkeypatch):
    monkeypatch.setattr(
        "diptych.components.common.images.decode_image", lambda *_: pytest.fail("decoded")
    )
    bomb = png_decompression_bomb(20_000, 20_000)
    assert len(bomb) < 60_000
    assert "max_pixels" in find_image_error(bomb, 10**6, 25_000_000)
    assert "max_pixels" in find_image_error(png_decompression_bomb(8_000, 8_000), 10**6, 25_000_000)
    assert "all its frames" in find_image_error(gif_of_large_frames(50, 4000), 10**6, 25_000_000)
    assert "max_bytes" in find_image_error(GOOD["png-RGB"], 100, 10**6)


def make_folder(root, classes=("a", "b"), count=12):
    number = 0
    for name in classes:
        (root / name).mkdir(parents=True)
        for _ in range(count):
            number += 1
            picture = np.random.default_rng(number).integers(0, 256, (6, 5), np.uint8)
            Image.fromarray(picture).save(root / name / f"{number:03}.png")
    return root


def images(root, **options):
    return ImageFolder(kind="images", path=str(root), **options)


def test_a_folder_becomes_examples(tmp_path, ingest):
    root = make_folder(tmp_path / "data", ("Latin/character01", "Latin/character02", "ä"))
    (root / "Latin/character01" / "damaged.png").write_bytes(DAMAGED["png-cut"])
    (root / "ä" / "text.JPG").write_bytes(DAMAGED["text"])
    (root / "ä" / "really_a_jpeg.png").write_bytes(GOOD["jpeg-CMYK"])
    (root / "ä" / "animated.gif").write_bytes(GOOD["gif-animated"])
    (root / "README.txt").write_text("about")
    (root / "loose.png").write_bytes(GOOD["png-L"])
    for system_file in ("Thumbs.db", ".DS_Store", "ä/desktop.ini"):
        (root / system_file).write_bytes(b"x")
    (root / ".git").mkdir()
    (root / ".git" / "x.png").write_bytes(GOOD["png-L"])
    run = ingest(images(root, max_rejected=0.1))
    assert run.reasons() == {
        "Latin/character01/damaged.png": "a PNG that cannot be decoded",
        "ä/text.JPG": "not a PNG, JPEG, GIF or BMP by its content",
        "README.txt": "no image file extension",
        "loose.png": "not in a class folder",
    }
    examples = run.all_examples()
    assert len(examples) == 38
    for example in examples:
        assert sorted(example) == ["id", "image", "label", "source"]
        assert example["image"] == (root / example["source"].decode()).read_bytes()
        assert example["label"].decode() == os.path.dirname(example["source"].decode())
    assert run.rejected.get_int_custom_property("num_read") == 42
    assert run.rejected.get_int_custom_property("num_rejected") == 4
    assert run.examples.get_int_custom_property("num_examples") == 38
    assert run.examples.get_int_custom_property("num_train") == len(run.split("train"))


def test_split_by_class_puts_each_class_in_one_split(tmp_path, ingest):
    root = make_folder(tmp_path, [f"class{i}" for i in range(12)], 2)
    run = ingest(images(root), SplitConfig(by="class"))
    labels = [{e["label"] for e in run.split(name)} for name in ("train", "calibration", "test")]
    assert sum(len(found) for found in labels) == len(set.union(*labels)) == 12


def test_links_out_of_the_folder_and_loops_are_not_followed(tmp_path):
    secret = tmp_path / "outside" / "secret.png"
    secret.parent.mkdir()
    secret.write_bytes(GOOD["png-L"])
    root = make_folder(tmp_path / "data", count=1)
    (root / "a" / "out.png").symlink_to(secret)
    (root / "outside").symlink_to(secret.parent)
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "self.png").symlink_to(root / "a" / "self.png")
    (root / "a" / "within.png").symlink_to(root / "b" / "002.png")
    os.mkfifo(root / "a" / "pipe.png")
    span_files = find_files(images(root))
    assert [file.name for file in span_files.files] == ["a/001.png", "a/within.png", "b/002.png"]
    assert dict(span_files.rejected) == {
        "a/out.png": "a symbolic link out of the data folder",
        "outside": "a symbolic link out of the data folder",
        "a/loop": "a symbolic link to a folder",
        "a/self.png": "a broken symbolic link",
        "a/pipe.png": "not a regular file",
    }


def test_the_fingerprint_depends_on_the_files_only(tmp_path):
    root = make_folder(tmp_path / "data")
    before = find_files(images(root)).fingerprint
    assert find_files(images(root)).fingerprint == before
    os.utime(root / "a" / "001.png", (1, 1))
    touched = find_files(images(root)).fingerprint
    assert touched != before
    (root / "a" / "new.png").write_bytes(GOOD["png-L"])
    assert find_files(images(root)).fingerprint != touched
    root.rename(tmp_path / "moved")
    (tmp_path / "moved" / "a" / "new.png").unlink()
    assert find_files(images(tmp_path / "moved")).fingerprint == touched


def test_unusable_folders_raise_an_error_before_the_run(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        infer_input_spec(images(tmp_path / "missing"), SplitConfig())
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="got a file"):
        infer_input_spec(images(tmp_path / "file"), SplitConfig())
    with pytest.raises(ConfigError, match="mounted disk"):
        infer_input_spec(images("gs://bucket/data"), SplitConfig())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="No images"):
        infer_input_spec(images(tmp_path / "empty"), SplitConfig())
    one = make_folder(tmp_path / "one", ["only"])
    with pytest.raises(DataError, match=r"at least 2 classes.*'only'"):
        infer_input_spec(images(one), SplitConfig())
    for name in "ab":
        (tmp_path / "zero" / name).mkdir(parents=True)
        (tmp_path / "zero" / name / "x.png").touch()
    with pytest.raises(DataError, match="0 bytes"):
        infer_input_spec(images(tmp_path / "zero"), SplitConfig())
    two = make_folder(tmp_path / "two")
    with pytest.raises(DataError, match=r"The split .* gets no class: 2 classes"):
        infer_input_spec(images(two), SplitConfig(by="class"))


def test_too_many_rejected_images_stop_the_run_with_the_reasons(tmp_path, ingest):
    root = make_folder(tmp_path / "data", count=10)
    for number in range(3):
        (root / "a" / f"bad{number}.png").write_bytes(DAMAGED["text"])
    (root / "b" / "empty.png").touch()
    with pytest.raises(DataError) as caught:
        ingest(images(root, max_rejected=0.1))
    message = str(caught.value)
    assert "4 of 24" in message and "(16.67%), above data.max_rejected (10.00%)" in message
    assert "3 x not a PNG, JPEG, GIF or BMP by its content (as a/bad0.png)" in message
    assert "1 x empty (0 bytes) (as b/empty.png)" in message
    assert not [
        path for path in tmp_path.glob("run-*/**/*") if path.is_file()
    ]  # nothing is left of what was written
    assert len(ingest(images(root, max_rejected=0.2)).all_examples()) == 20


def test_a_split_without_examples_stops_the_run(tmp_path, ingest):
    root = make_folder(tmp_path / "data", count=2)
    with pytest.raises(
        DataError, match=r"No examples .* test: 4 examples.*fractions train.*split.seed"
    ):
        ingest(images(root), SplitConfig(train=0.6, calibration=0.399999, test=0.000001))


def test_folders_in_two_normal_forms_are_one_class(tmp_path):
    for name in ("Zoe\u0308/1.png", "Zo\u00eb/2.png", "Jo/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(GOOD["png-L"])
    data = ImageFolder(kind="images", path=str(tmp_path))
    names = [file.name for file in find_files(data).files]
    batch = read_images(tmp_path, names, data, SplitConfig(by="class"))
    labels = [label.decode() for label in batch.features.column("label").flatten().to_pylist()]
    assert sorted(labels) == ["Jo", "Zo\u00eb", "Zo\u00eb"]
    assert len(set(batch.split_keys)) == 2
