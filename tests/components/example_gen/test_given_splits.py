import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from diptych.components.common.split_names import find_split_in_path, parse_split_name
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.split_scan import MIXED_SPLITS
from diptych.components.example_gen.splits import assign_given_splits
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import ImageFolder, PairTable, Table, TFRecords
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DataError
from diptych.schemas.shards import SPLITS

GIVEN = SplitConfig(by="given")


def write_images(root, folders, count=6):
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        for i in range(count):
            Image.new("L", (4 + i, 4 + number), 100).save(root / folder / f"{i}.png")
    return root


def sources(run):
    return {name: {example["source"].decode() for example in run.split(name)} for name in SPLITS}


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (["train", "Training", " TRAIN "], "train"),
        (["val", "Valid", "validation", "calibration", "DEV"], "calibration"),
        (["test", "Testing", "eval", "EVALUATION"], "test"),
        (["01_train", "training_set", "train-images", "Train Data", "train2017"], "train"),
        (["valset", "02.val", "calib"], "calibration"),
        (["test_set", "TestSplit", "holdout"], "test"),
        (["trains", "", "extra", "t", "dataset", "train_a", "contest", "test1"], None),
    ],
)
def test_split_names_are_recognised_in_any_case(names, split):
    assert {parse_split_name(name) for name in names} == {split}


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (["train.csv", "train-00000-of-00004.parquet", "Train/a.csv", "mnist_train1.csv"], "train"),
        (["val.csv.gz", "Split-dev/part-0.pq", "a/VALID_2.jsonl"], "calibration"),
        (["test.csv", "Testing/x.csv", "faces.eval.parquet", "test/test-0.csv"], "test"),
        (
            ["trains.csv", "items.csv", "latest/a.csv", "train/test.csv", "train_test_split.csv"],
            None,
        ),
    ],
)
def test_the_words_of_a_path_state_the_split(names, split):
    assert {find_split_in_path(name) for name in names} == {split}


@given(st.lists(st.tuples(st.sampled_from(["train", "test"]), st.integers(0, 9))))
def test_calibration_is_taken_from_training_and_keys_stay_together(rows):
    names = [name for name, _ in rows]
    keys = [f"{name}{key}".encode() for name, key in rows]
    splits = assign_given_splits(names, keys, {"train", "test"}, GIVEN)
    for name, split in zip(names, splits, strict=True):
        assert (SPLITS[split] == "test") == (name == "test")
    assert len(set(zip(keys, splits.tolist(), strict=True))) == len(set(keys))


def test_the_share_of_calibration_is_relative_to_training():
    keys = [str(i).encode() for i in range(20_000)]
    split = SplitConfig(by="given", train=0.3, calibration=0.1, test=0.6)
    splits = assign_given_splits(["train"] * 20_000, keys, {"train", "test"}, split)
    np.testing.assert_allclose(np.bincount(splits) / 20_000, [0.75, 0.25], atol=0.012)


def test_three_given_splits_are_kept():
    names = ["test", "train", "calibration", "train"]
    splits = assign_given_splits(names, [b"k"] * 4, set(SPLITS), GIVEN)
    assert [SPLITS[split] for split in splits] == names


@pytest.mark.parametrize("other", ["test", "validation"])
def test_with_two_splits_the_other_one_is_the_test_split(tmp_path, ingest, other):
    root = write_images(tmp_path / "data", ["Train/A", "Train/B", f"{other}/A", f"{other}/B"], 20)
    run = ingest(ImageFolder(kind="images", path=str(root), levels=["split", "label"]), GIVEN)
    found = sources(run)
    assert {source.split("/")[0] for source in found["test"]} == {other}
    assert len(found["test"]) == 40
    assert len(found["train"]) + len(found["calibration"]) == 40
    assert 2 <= len(found["calibration"]) <= 20
    assert {example["label"] for example in run.all_examples()} == {b"A", b"B"}


def test_folders_named_like_splits_are_kept(tmp_path, ingest):
    folders = [f"{label}/{split}" for label in "AB" for split in ("TRAIN", "val", "Test")]
    root = write_images(tmp_path / "data", folders)
    run = ingest(ImageFolder(kind="images", path=str(root), levels=["label", "split"]), GIVEN)
    for name, folder in zip(SPLITS, ("TRAIN", "val", "Test"), strict=True):
        assert {source.split("/")[1] for source in sources(run)[name]} == {folder}
        assert len(run.split(name)) == 12


def write_rows(path, column="split", names=("train", "train", "dev", "test"), count=40):
    random = np.random.default_rng(3)
    columns = {
        column: [names[i % len(names)] for i in range(count)],
        "group": [f"g{i % 8}" for i in range(count)],
        "label": [f"c{i // 4 % 4}" for i in range(count)],
        "left": random.random(count),
        "right": random.random(count),
        "same": [i // 4 % 2 for i in range(count)],
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", ["table", "pairs", "tfrecord"])
def test_a_column_states_the_split(tmp_path, ingest, kind):
    path = write_rows(tmp_path / "t.parquet", "Part")
    options = {"path": str(path), "split": "Part", "max_rejected": 0}
    if kind == "table":
        data = Table(kind="table", label="label", columns=["left", "right"], **options)
    elif kind == "pairs":
        data = PairTable(kind="pairs", same="same", left="left", right="right", **options)
    else:
        import tensorflow as tf

        path = tmp_path / "t.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in pq.read_table(options["path"]).to_pylist():
                example = tf.train.Example()
                example.features.feature["label"].bytes_list.value.append(row["label"].encode())
                example.features.feature["Part"].bytes_list.value.append(row["Part"].encode())
                example.features.feature["v"].float_list.value.append(row["left"])
                writer.write(example.SerializeToString())
        data = TFRecords(kind="tfrecord", vector="v", **{**options, "path": str(path)})
    run = ingest(data, GIVEN)
    rows = {
        name: sorted(int(source.partition(":")[2]) % 4 for source in found)
        for name, found in sources(run).items()
    }
    # Row numbers count from 1: rows 1, 2, 5, 6, ... are training examples.
    assert rows == {"train": [1] * 10 + [2] * 10, "calibration": [3] * 10, "test": [0] * 10}


@pytest.mark.parametrize("kind", ["table", "pairs", "tfrecord"])
def test_the_names_of_files_state_the_split(tmp_path, ingest, kind):
    files = {"train": "train-0-of-1", "calibration": "dev", "test": "test/part-1"}
    (tmp_path / "data" / "test").mkdir(parents=True)
    counts = {"train": 20, "calibration": 6, "test": 8}
    options = {"path": str(tmp_path / "data"), "max_rejected": 0}
    for number, (split, name) in enumerate(files.items()):
        path = tmp_path / "data" / name
        if kind == "tfrecord":
            write_records(path.with_suffix(".tfrecord"), counts[split], number)
        else:
            rows = {
                "label": ["a", "b"] * (counts[split] // 2),
                "same": [0, 1] * (counts[split] // 2),
            }
            values = np.random.default_rng(number).random((2, counts[split]))
            table = pa.table({**rows, "left": values[0], "right": values[1]})
            pq.write_table(table, path.with_suffix(".parquet"))
    if kind == "table":
        data = Table(kind="table", label="label", columns=["left", "right"], **options)
    elif kind == "pairs":
        data = PairTable(kind="pairs", same="same", left="left", right="right", **options)
    else:
        data = TFRecords(kind="tfrecord", vector="v", **options)
    run = ingest(data, GIVEN)
    for split, name in files.items():
        assert len(run.split(split)) == counts[split]
        assert all(source.startswith(name) for source in sources(run)[split])


def write_records(path, count, number):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in range(count):
            example = tf.train.Example()
            example.features.feature["label"].bytes_list.value.append(b"ab"[i % 2 : i % 2 + 1])
            example.features.feature["v"].float_list.value.append(i + number / 10)
            writer.write(example.SerializeToString())


def test_files_named_like_splits_that_are_divided_again_are_a_finding(tmp_path, ingest):
    write_rows(tmp_path / "train.parquet", "Part")
    write_rows(tmp_path / "test.parquet", "Other")
    data = Table(kind="table", path=str(tmp_path), label="label", columns=["left"])
    found = ingest(data).summary().used.findings
    assert found[MIXED_SPLITS].count == 2


def test_other_files_and_folders_next_to_tables_are_ignored_with_a_reason(tmp_path, ingest):
    (tmp_path / "backup").mkdir()
    write_rows(tmp_path / "items.parquet")
    write_rows(tmp_path / "backup" / "items.parquet")
    (tmp_path / "README.md").write_text("About the items")
    (tmp_path / "Thumbs.db").write_bytes(b"-")
    run = ingest(Table(kind="table", path=str(tmp_path), label="label", columns=["left"]))
    reasons = {"file without the extension of such data": "README.md"}
    reasons["subfolder; to read it, use a pattern with ** in data.path"] = "backup/"
    ignored = run.summary().used.ignored
    files = {reason: times.source for reason, times in ignored.items() if "column" not in reason}
    assert files == reasons
    assert run.summary().used.num_read == 40


def test_groups_stay_together_when_calibration_is_taken_from_training(tmp_path, ingest):
    path = write_rows(tmp_path / "t.parquet", names=["train"] * 39 + ["test"], count=400)
    data = Table(
        kind="table", path=str(path), label="label", columns=["left"], split="split", group="group"
    )
    run = ingest(data, GIVEN)
    group_of_row = [f"g{i % 8}" for i in range(400)]
    groups = {
        name: {group_of_row[int(source.partition(":")[2]) - 1] for source in found}
        for name, found in sources(run).items()
    }
    assert groups["train"] and groups["calibration"]
    assert not groups["train"] & groups["calibration"]


def test_a_row_without_a_split_is_rejected(tmp_path, ingest):
    path = write_rows(tmp_path / "t.parquet", names=["train", "test", None, "train"])
    data = Table(
        kind="table", path=str(path), label="label", columns="left", split="split", max_rejected=0.3
    )
    run = ingest(data, GIVEN)
    assert set(run.reasons().values()) == {"column 'split' has no value"}
    assert len(run.reasons()) == 10


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["train", "test", "extra", "unseen"], "has the values 'extra', 'unseen', which are no"),
        (["val", "test"], "has no training split: its values are 'test', 'val'"),
        (["train"], "has no other split: its values are 'train'"),
        ([None], "has no training split"),
    ],
)
def test_unknown_or_missing_splits_raise_an_error_before_the_run(tmp_path, names, match):
    path = write_rows(tmp_path / "t.parquet", names=names)
    data = Table(kind="table", path=str(path), label="label", columns="left", split="split")
    with pytest.raises(DataError, match=match):
        infer_input_spec(data, GIVEN)


def test_an_unknown_folder_among_the_splits_raises_an_error(tmp_path):
    root = write_images(tmp_path, ["train/A", "train/B", "test/A", "later/A"], 1)
    data = ImageFolder(kind="images", path=str(root), levels=["split", "label"])
    with pytest.raises(DataError, match=r"level split .*\[?split, label.*'later'"):
        infer_input_spec(data, GIVEN)
    infer_input_spec(data, SplitConfig())


def test_given_splits_of_folders_of_images_need_a_level():
    data = {"kind": "images", "path": "x", "levels": ["label", "group"]}
    with pytest.raises(ValueError, match=r"split.by = given needs a level split in data.levels"):
        Config.model_validate({"name": "x", "data": data, "split": {"by": "given"}})


def test_files_whose_names_state_no_split_raise_an_error(tmp_path):
    write_rows(tmp_path / "train.parquet")
    write_rows(tmp_path / "items.parquet")
    data = Table(kind="table", path=str(tmp_path), label="label", columns="left")
    with pytest.raises(DataError, match=r"file names \(data.split is not set\).*'items.parquet'"):
        infer_input_spec(data, GIVEN)
