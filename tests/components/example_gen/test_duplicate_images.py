"""Duplicates and conflicts of image files, through the complete step."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diptych.components.example_gen.ingest_checks import check_ingest
from diptych.schemas.config.data import ImageFolder, PairTable
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.data_report import (
    DataReport,
    DuplicateGroup,
    NamedExample,
    read_leaked_ids,
)
from diptych.schemas.errors import DataError
from diptych.schemas.rejected_rows import IngestCounts, IngestSummary


def scene(number):
    generator = np.random.default_rng(number)
    small = generator.integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC)


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Return a folder with 40 different scenes, 20 in each class."""
    for number in range(40):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(scene(number), "PNG"))
    return tmp_path / "data"


def images(folder, **options):
    return ImageFolder(kind="images", path=str(folder), **options)


def copies(folder, change, numbers=range(40), name="copy"):
    for number in numbers:
        path = folder / "ab"[number % 2] / f"{number:02}-{name}"
        path.write_bytes(change(scene(number)))


CHANGES = {
    "equal": lambda image: encode(image, "PNG"),
    "equal_pixels": lambda image: encode(image, "BMP"),
    "near": lambda image: encode(image.resize((128, 96)), "JPEG", quality=80),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_copies_are_found_and_stay_with_their_original(folder, ingest, kind):
    copies(folder, CHANGES[kind])
    run = ingest(images(folder))
    report = run.report()
    (counts,) = report.duplicates
    assert (counts.kind, counts.groups, counts.examples) == (kind, 40, 80)
    assert counts.groups_across_splits == 0
    assert (report.num_leaked, report.num_conflicts) == (0, 0)
    splits = run.split_of_sources()
    assert len(splits) == 80
    for number in range(40):
        name = f"{'ab'[number % 2]}/{number:02}"
        assert splits[f"{name}.png"] == splits[f"{name}-copy"]
    if kind == "equal":
        assert report.num_moved == 0  # equal files have equal ids
    else:
        assert report.num_moved > 0


def test_images_without_copies_are_where_they_were_before(folder, ingest):
    before = ingest(images(folder)).split_of_sources()
    copies(folder, CHANGES["near"], numbers=range(5))
    after = ingest(images(folder)).split_of_sources()
    unaffected = [name for name in before if int(name[2:4]) >= 5]
    assert len(unaffected) == 35
    assert all(before[name] == after[name] for name in unaffected)


def test_separate_copies_in_the_test_are_leaks(folder, ingest):
    copies(folder, CHANGES["near"])
    run = ingest(images(folder), SplitConfig(duplicates="separate"))
    splits = run.split_of_sources()
    leaked = [
        name
        for name, split in splits.items()
        if split == "test"
        and "train" in {of for other, of in splits.items() if other[2:4] == name[2:4]}
    ]
    assert leaked
    assert run.report().num_leaked == len(leaked)
    assert run.report().duplicates[0].groups_across_splits > 0


def test_similar_pictures_of_different_classes_are_no_duplicates(folder, ingest):
    for number in range(0, 40, 2):  # all of class a, encoded again in class b
        (folder / "b" / f"{number:02}").write_bytes(CHANGES["near"](scene(number)))
    report = ingest(images(folder), SplitConfig(duplicates="separate")).report()
    assert (report.duplicates, report.num_leaked, report.num_conflicts) == ((), 0, 0)


def test_an_empty_split_is_explained_by_a_large_group():
    names = (NamedExample(source="1.png", label="a"), NamedExample(source="2.png", label="a"))
    group = DuplicateGroup(kind="near", num_examples=30, examples=names)
    report = DataReport(num_examples=(31, 0, 0), num_moved=12, groups=(group,))
    counts = IngestCounts(num_read=31, num_examples=(31, 0, 0))
    with pytest.raises(
        DataError,
        match=r"split calibration and test: 31 examples, .* 30 examples are duplicates "
        r"\(near-duplicate images\), such as 1.png and 2.png, .* set split.duplicates to separate",
    ):
        check_ingest(IngestSummary(spans={"": counts}, skipped_spans={}), report, 0, SplitConfig())


def test_the_same_picture_in_two_classes_is_rejected_with_the_other_source(folder, ingest):
    (folder / "b" / "copy.png").write_bytes(encode(scene(0), "PNG"))
    (folder / "b" / "pixels.bmp").write_bytes(encode(scene(2), "BMP"))
    run = ingest(images(folder, max_conflicts=0.1))
    assert run.reasons() == {
        "a/00.png": "has the label 'a', but its content has 'b' in b/copy.png",
        "b/copy.png": "has the label 'b', but its content has 'a' in a/00.png",
        "a/02.png": "has the label 'a', but its content has 'b' in b/pixels.bmp",
        "b/pixels.bmp": "has the label 'b', but its content has 'a' in a/02.png",
    }
    assert run.report().num_conflicts == 4
    assert len(run.all_examples()) == 38
    assert run.rejected.get_int_custom_property("num_rejected") == 4


def test_many_conflicts_stop_the_run_and_the_first_are_named(folder, ingest):
    for number in range(0, 40, 2):
        (folder / "b" / f"{number:02}.png").write_bytes(encode(scene(number), "PNG"))
    with pytest.raises(DataError) as error:
        ingest(images(folder))
    text = str(error.value)
    assert "40 of 60 examples (66.67%) have the same content" in text
    assert "above data.max_conflicts (1.00%)" in text
    assert "'a' (a/00.png) and 'b' (b/00.png); 'a' (a/02.png) and 'b' (b/02.png)" in text


@pytest.mark.parametrize(
    "runner",
    [
        ["--runner=DirectRunner", "--direct_running_mode=multi_threading"],
        ["--runner=BundleBasedDirectRunner"],
    ],
)
def test_other_runners_and_batches_give_the_same_files_and_report(
    folder, ingest, monkeypatch, runner
):
    copies(folder, CHANGES["near"], numbers=range(10))
    (folder / "b" / "copy.png").write_bytes(encode(scene(20), "PNG"))
    first = ingest(images(folder, max_conflicts=0.1))
    # Work items of a few images arrive in another order.
    monkeypatch.setattr("diptych.components.example_gen.ingest._MAX_WORK_FILES", 7)
    second = ingest(images(folder, max_conflicts=0.1), runner=runner)
    assert first.files() == second.files()
    assert first.report() == second.report()
    assert first.reasons() == second.reasons()


def test_pairs_of_images_count_copies_as_one_example(folder, ingest, tmp_path):
    copies(folder, CHANGES["near"], numbers=range(4))
    pairs = [(number, (number + 2) % 40, 1 - number % 2) for number in range(40)]
    rows = [
        f"{'ab'[left % 2]}/{left:02}.png,{'ab'[right % 2]}/{right:02}.png,{same}\n"
        for left, right, same in pairs
    ]
    # The first pair again, mirrored and as copies.
    rows.append("a/02-copy,a/00-copy,1\n")
    (folder / "pairs.csv").write_text("left,right,same\n" + "".join(rows))
    data = PairTable(
        kind="pairs", path=str(folder / "pairs.csv"), same="same", left="left", right="right"
    )
    run = ingest(data)
    report = run.report()
    (counts,) = report.duplicates
    assert (counts.kind, counts.groups, counts.examples) == ("near", 1, 2)
    splits = run.split_of_sources()
    assert splits["pairs.csv:2"] == splits["pairs.csv:42"]
    assert report.pairs.num_examples == 40
    assert (report.pairs.num_components, report.pairs.largest_component) == (2, 21)
    assert report.num_leaked > 0
    leaked = {bytes(row).hex() for row in read_leaked_ids(Path(run.data_report.uri))}
    sides = {
        example[key].decode() for example in run.split("test") for key in ("left_id", "right_id")
    }
    assert leaked <= sides
