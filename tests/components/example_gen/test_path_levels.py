import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from diptych.components.common.path_roles import PathRoles, parse_path
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.path_levels import (
    check_levels_are_clear,
)
from diptych.components.example_gen.span_files import find_files
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DataError
from diptych.schemas.rejected_rows import SUMMARY_FILE

NAMES = st.text("abcxyz", min_size=1, max_size=3)


def write_images(root, paths):
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number % 256).resize((4, 4 + number // 256)).save(root / path)
    return root


def images(root, **options):
    return ImageFolder(kind="images", path=str(root), **options)


@pytest.mark.parametrize(
    ("levels", "roles"),
    [
        (None, PathRoles("a/b/c")),
        (["split", "group", "label"], PathRoles("c", "b", "a")),
        (["label", "ignore", "label"], PathRoles("a/c")),
        (["ignore", "label", "group"], PathRoles("b", "c")),
    ],
)
def test_levels_state_label_group_and_split(levels, roles):
    assert parse_path("a/b/c/1.png", levels) == roles


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=8))
def test_two_levels_are_clear_if_each_name_has_one_parent(folders):
    parents = {}
    for parent, name in folders:
        parents.setdefault(name, set()).add(parent)
    names = [f"{parent}/{name}/{i}.png" for i, (parent, name) in enumerate(folders)]
    if all(len(found) == 1 for found in parents.values()):
        check_levels_are_clear(names)
    else:
        choices = r"(?s)\[label, group\].*\[group, label\].*\[label, label\]"
        with pytest.raises(DataError, match=choices):
            check_levels_are_clear(names)


@pytest.mark.parametrize(
    ("folders", "lines"),
    [
        (["train/A", "VAL/A", "test/A"], ["[split, label]  # 'A' is a class", "[label, label]"]),
        (["train/A", "test/B"], ["[split, label]", "[label, label]"]),
        (["A/Training", "A/Testing"], ["[label, split]  # 'A' is a class", "[label, label]"]),
        (["train/A/s1", "dev/A/s2"], ["[split, label, label]  # 'dev': split, 'A': label"]),
        (["train/A", "test/A", "more/A"], ["[split, label]", "[label, group]", "[group, label]"]),
        (["A/s1", "B/s1"], ["[label, group]  # 'B' is a class, and 's1' is a group"]),
        (["x/A/s1", "x/B/s1"], ["[label, label, group]", "[label, group, label]"]),
        (["train", "test"], ["data.levels: [label]"]),
        (["A", "B", "A/old"], ["'A' contains images and the folder 'A/old'", "[label] to reject"]),
    ],
)
def test_unclear_levels_raise_an_error_that_shows_the_choices(folders, lines):
    with pytest.raises(DataError) as caught:
        check_levels_are_clear([f"{folder}/{i}.png" for i, folder in enumerate(folders)])
    for line in lines:
        assert line in str(caught.value)


@pytest.mark.parametrize(
    "folders",
    [
        ["A", "B"],
        ["A/x", "A/y", "B/z"],
        ["test", "cat"],
        ["train", "car", "bus"],
        ["A", "B/x"],
        ["images/A", "images/B"],
        ["test/A", "val/B"],
    ],
)
def test_unambiguous_folders_are_labels(folders):
    check_levels_are_clear([f"{folder}/{i}.png" for i, folder in enumerate(folders)])


def test_unclear_levels_stop_the_run_before_it_starts(tmp_path):
    root = write_images(tmp_path, ["A/s1/0.png", "A/s2/0.png", "B/s1/0.png"])
    with pytest.raises(DataError, match="'s1' occurs in 'A' and in 'B'"):
        infer_input_spec(images(root), SplitConfig())
    infer_input_spec(images(root, levels=["label", "group"]), SplitConfig())


def test_images_in_other_depths_are_rejected(tmp_path):
    root = write_images(tmp_path, ["A/s1/0.png", "B/s1/1.png", "A/2.png", "3.png", "A/s1/x/4.png"])
    found = find_files(images(root, levels=["label", "group"]))
    assert [file.name for file in found.files] == ["A/s1/0.png", "B/s1/1.png"]
    reason = "in {} folder levels instead of the 2 of data.levels"
    assert dict(found.rejected) == {
        "A/2.png": reason.format(1),
        "3.png": reason.format(0),
        "A/s1/x/4.png": reason.format(3),
    }


def test_a_group_level_keeps_groups_together_and_labels_apart(tmp_path, ingest):
    paths = [f"{label}/w{group}/{i}.png" for label in "ABC" for group in range(12) for i in "01"]
    root = write_images(tmp_path / "data", paths)
    run = ingest(images(root, levels=["label", "group"]), SplitConfig(by="group"))
    groups = [
        {example["source"].split(b"/")[1] for example in run.split(name)}
        for name in ("train", "calibration", "test")
    ]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 12
    assert {example["label"] for example in run.all_examples()} == {b"A", b"B", b"C"}


def test_a_split_without_a_group_stops_the_run_and_a_seed_that_works_is_named(tmp_path):
    root = write_images(tmp_path, [f"{label}/s{i}/0.png" for label in "AB" for i in range(3)])
    data = images(root, levels=["label", "group"])
    match = "gets no group: 3 groups.*Set split.seed: "
    with pytest.raises(DataError, match=match) as caught:
        infer_input_spec(data, SplitConfig(by="group", seed=1))
    seed = int(str(caught.value).partition("seed: ")[2].split(",")[0])
    infer_input_spec(data, SplitConfig(by="group", seed=seed))


@pytest.mark.parametrize(
    ("levels", "by", "ignored"),
    [
        (["label", "ignore"], "example", {"path level 2 is not used (role ignore": (3, "s1")}),
        (["label", "group"], "example", {"path level 2 is not used (role group": (3, "s1")}),
        (["label", "group"], "group", {}),
        (["label", "label"], "example", {}),
    ],
)
def test_levels_without_effect_are_listed(tmp_path, ingest, levels, by, ignored):
    paths = [f"{label}/s{i}/{j}.png" for label in "ABCD" for i in (1, 2, 3) for j in range(4)]
    root = write_images(tmp_path / "data", paths)
    seed = 4 if by == "group" else 0  # gives each split a group
    run = ingest(images(root, levels=levels), SplitConfig(by=by, seed=seed))
    summary = json.loads(Path(run.rejected.uri, SUMMARY_FILE).read_text())
    found = summary["spans"][""]["ignored"]
    assert {
        text.partition(" in ")[0]: (item["count"], item["source"]) for text, item in found.items()
    } == ignored
