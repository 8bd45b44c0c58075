import io
import os
import time

import numpy as np
import pytest
from image_files import PICTURE, encode, exif, jpeg_with_scans, lossless_files, lossy_files
from PIL import Image

from diptych.components.common.images import ImageLimits, prepare_image
from diptych.components.example_gen.example_batch import compute_ids
from diptych.components.example_gen.images import read_images
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.profile.images import infer_image_settings
from diptych.components.example_gen.span_files import find_files
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import ConfigError, DataError

FILES = {name: encoded for name, (encoded, _) in lossless_files().items()} | lossy_files()
PNG, TEXT = FILES["png-L"], b"class,name\n1,cat\n"


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
    (root / "Latin/character01" / "damaged.png").write_bytes(PNG[:100])
    (root / "ä" / "text.JPG").write_bytes(TEXT)
    (root / "ä" / "really_a_jpeg.png").write_bytes(FILES["jpeg-CMYK"])
    (root / "ä" / "animated.gif").write_bytes(FILES["gif-animated"])
    (root / "README.txt").write_text("about")
    (root / "loose.png").write_bytes(PNG)
    for system_file in ("Thumbs.db", ".DS_Store", "ä/desktop.ini"):
        (root / system_file).write_bytes(b"x")
    (root / ".git").mkdir()
    (root / ".git" / "x.png").write_bytes(PNG)
    run = ingest(images(root, max_rejected=0.1))
    assert run.reasons() == {
        "Latin/character01/damaged.png": "a PNG that cannot be decoded",
        "ä/text.JPG": "not an image but text",
        "loose.png": "not in a class folder",
    }
    examples = run.all_examples()
    assert len(examples) == 38
    for example in examples:
        assert sorted(example) == ["id", "image", "label", "source"]
        original = (root / example["source"].decode()).read_bytes()
        if not example["source"].endswith(b".gif"):
            assert example["image"] == original
        assert example["id"].decode() == compute_ids([original])[0]
        assert example["label"].decode() == os.path.dirname(example["source"].decode())
    assert run.rejected.get_int_custom_property("num_read") == 41
    assert run.rejected.get_int_custom_property("num_rejected") == 3
    assert run.examples.get_int_custom_property("num_examples") == 38
    assert run.examples.get_int_custom_property("num_train") == len(run.split("train"))


def test_split_by_class_puts_each_class_in_one_split(tmp_path, ingest):
    root = make_folder(tmp_path, [f"class{i}" for i in range(12)], 2)
    run = ingest(images(root), SplitConfig(by="class"))
    labels = [{e["label"] for e in run.split(name)} for name in ("train", "calibration", "test")]
    assert sum(len(found) for found in labels) == len(set.union(*labels)) == 12


def test_the_fingerprint_depends_on_the_files_only(tmp_path):
    root = make_folder(tmp_path / "data")
    before = find_files(images(root)).fingerprint
    assert find_files(images(root)).fingerprint == before
    os.utime(root / "a" / "001.png", (1, 1))
    touched = find_files(images(root)).fingerprint
    assert touched != before
    (root / "a" / "new.png").write_bytes(PNG)
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
        (root / "a" / f"bad{number}.png").write_bytes(TEXT)
    (root / "b" / "empty.png").touch()
    with pytest.raises(DataError) as caught:
        ingest(images(root, max_rejected=0.1))
    message = str(caught.value)
    assert "4 of 24" in message and "(16.67%), above data.max_rejected (10.00%)" in message
    assert "3 x not an image but text (as a/bad0.png)" in message
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


def test_every_format_mode_and_orientation_can_be_ingested(tmp_path, ingest):
    root = make_folder(tmp_path / "data")
    for number, (name, encoded) in enumerate(FILES.items()):
        # Without an extension, or with a wrong one.
        (root / "a" / f"{name}{('', '.jpg', '.dat')[number % 3]}").write_bytes(encoded)
    for orientation in range(1, 9):
        turned = encode(PICTURE, "JPEG", exif=exif(orientation))
        (root / "a" / f"turned-{orientation}.jpg").write_bytes(turned)
    run = ingest(images(tmp_path / "data", max_rejected=0))
    examples = run.all_examples()
    assert len(examples) == len(FILES) + 8 + 24
    for example in examples:
        original = (root / example["source"].decode()).read_bytes()
        prepared = prepare_image(original, ImageLimits(10**6, 10**6))
        assert example["image"] == prepared.encoded
        assert example["id"].decode() == compute_ids([original])[0]
    findings = run.summary().used.findings
    assert findings["has several frames, of which the first is used"].count == 1


def test_files_that_are_no_images_are_ignored_and_not_rejected(tmp_path, ingest):
    root = make_folder(tmp_path / "data")
    (root / "README.md").write_text("Where these came from.")
    (root / "labels.csv").write_text("letter,name\na,x\n")
    (root / "a" / "notes").write_bytes(b"%PDF-1.7")
    (root / "notes").mkdir()
    (root / "notes" / "todo.txt").write_text("none")
    run = ingest(images(root, max_rejected=0))
    assert {example["label"] for example in run.all_examples()} == {b"a", b"b"}
    counts = run.summary().used
    assert (counts.num_read, counts.num_rejected) == (24, 0)
    ignored = {text: (reason.count, reason.source) for text, reason in counts.ignored.items()}
    assert ignored == {
        "not an image but text": (3, "README.md"),
        "not an image but a PDF document": (1, "a/notes"),
    }


def test_images_in_a_format_that_is_not_read_are_rejected(tmp_path, ingest):
    root = make_folder(tmp_path / "data")
    (root / "a" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(DataError, match=r"a HEIC image, .* convert it to PNG or JPEG \(as a/photo"):
        ingest(images(root))


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a/1.heic", "a HEIC image"),
        (bytes(128) + b"DICM" + bytes(9), "a/1.dcm", "a DICOM image"),
    ],
)
def test_the_remedy_for_class_folders_of_another_format_is_a_conversion(
    tmp_path, content, name, reason
):
    for letter in "ab":
        (tmp_path / letter).mkdir()
        (tmp_path / letter / name.split("/")[1]).write_bytes(content)
    with pytest.raises(DataError) as error:
        find_files(images(tmp_path))
    remedy = (
        f"Not usable: {name}: {reason}, which Diptych does not read: convert it to PNG or JPEG."
    )
    assert str(error.value).endswith(remedy)
    for letter in "ab":
        (tmp_path / letter / name.split("/")[1]).rename(tmp_path / f"{letter}.x")
    Image.new("L", (4, 4)).save(tmp_path / "1.png")
    with pytest.raises(DataError, match="images of each class into a separate subfolder"):
        find_files(images(tmp_path))


def test_the_background_is_part_of_the_input_spec(tmp_path):
    root = make_folder(tmp_path / "data")
    assert infer_input_spec(images(root), SplitConfig()).background == (255, 255, 255)
    black = infer_input_spec(images(root, background="#000080"), SplitConfig())
    assert black.background == (0, 0, 128)


def test_an_error_about_links_names_the_key(tmp_path):
    make_folder(tmp_path / "store")
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        for file in (tmp_path / "store" / name).iterdir():
            (tmp_path / "data" / name / file.name).symlink_to(file)
    with pytest.raises(DataError, match=rf"set data\.follow_links .* such as {tmp_path}/store\."):
        find_files(images(tmp_path / "data"))
    followed = find_files(images(tmp_path / "data", follow_links=str(tmp_path / "store")))
    assert len(followed.files) == 24
    for name in "ab":  # some images are links
        make_folder(tmp_path / "mixed", [name])
    (tmp_path / "mixed" / "a" / "link.png").symlink_to(file)
    reason = "a symbolic link out of the data folder (see data.follow_links)"
    assert find_files(images(tmp_path / "mixed")).rejected == (("a/link.png", reason),)
    with pytest.raises(ConfigError, match=r"data\.follow_links must be a folder, got"):
        find_files(images(tmp_path / "data", follow_links=str(tmp_path / "missing")))


def test_merged_folders_are_reported(tmp_path):
    for name in ("Zoe\u0308/1.png", "Zo\u00eb/2.png", "Jo/3.png", "Jo /4.png", "Al/5.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    findings = find_files(images(tmp_path)).findings
    assert [name for name, _ in findings] == ["Jo", "Jo ", "Zoe\u0308", "Zo\u00eb"]
    assert len({text for _, text in findings}) == 1


def test_folders_in_two_normal_forms_are_one_class(tmp_path):
    for name in ("Zoe\u0308/1.png", "Zo\u00eb/2.png", "Jo/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    data = ImageFolder(kind="images", path=str(tmp_path))
    names = [file.name for file in find_files(data).files]
    batch = read_images(tmp_path, names, data, SplitConfig(by="class"))
    labels = [label.decode() for label in batch.features.column("label").flatten().to_pylist()]
    assert sorted(labels) == ["Jo", "Zo\u00eb", "Zo\u00eb"]
    assert len(set(batch.split_keys)) == 2


def test_the_profile_skips_images_that_would_keep_the_decoder_busy(tmp_path):
    (tmp_path / "busy.jpg").write_bytes(jpeg_with_scans(4_000, side=900))
    grey = io.BytesIO(encode(Image.new("L", (40, 30)), "PNG"))
    started = time.process_time()
    settings, note = infer_image_settings([str(tmp_path / "busy.jpg"), grey])
    assert time.process_time() - started < 1
    assert (settings["channels"], note) == (1, "of 30 x 40 pixels (in a sample of 1).")
