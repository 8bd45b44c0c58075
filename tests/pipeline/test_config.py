from pathlib import Path

import pytest
import yaml

from diptych.schemas.config import load_config
from diptych.schemas.errors import ConfigError

SMALL = {"name": "toy", "data": {"kind": "images", "path": "pictures"}}


@pytest.fixture
def write(tmp_path):
    def write(tree):
        path = tmp_path / "config.yaml"
        path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
        return path

    return write


def test_paths_are_taken_from_the_folder_of_the_file(write, tmp_path):
    assert load_config(write(SMALL)).data.path == str(tmp_path / "pictures")


def test_paths_of_settings_are_taken_from_the_working_directory(write, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = load_config(write(SMALL), ("data.path=other", "train.epochs=3", "data.size=[8, 9]"))
    assert config.data.path == str(Path.cwd() / "other")
    assert (config.train.epochs, config.data.size) == (3, (8, 9))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "Not A Name"}, "name: .*got 'Not A Name'"),
        ({"nmae": "x"}, "nmae: Extra inputs are not permitted"),
        ({"data": {"kind": "video", "path": "x"}}, "data: .*'images', 'table', 'pairs'"),
        ({"data": {"kind": "table", "path": "x"}}, "data.label: Field required"),
        ({"pairs": {"classes_per_batch": 1}}, "pairs.classes_per_batch: .*2, got 1"),
        ({"pairs": {"examples_per_class": 1}}, "pairs.examples_per_class: .*2, got 1"),
        (
            {
                "data": {"kind": "pairs", "path": "x", "same": "y", "left": 2, "right": 2},
                "pairs": {"difficulty": "confusable"},
            },
            "pairs.difficulty = confusable needs classes",
        ),
        (
            {"pairs": {"policy": "balance"}},
            "pairs.policy: .*'oversample', 'undersample', 'natural' or 'inverse_frequency'"
            ", got 'balance'",
        ),
        ({"pairs": {"evaluation_policy": ""}}, "pairs.evaluation_policy: .*'oversample'.*got ''"),
        ({"pairs": {"max_repeats": 0}}, "pairs.max_repeats: .*greater than 0, got 0"),
        ({"pairs": {"num_shards": 0}}, "pairs.num_shards: .*greater than 0, got 0"),
        ({"pairs": {"rounds": 0}}, "pairs.rounds: .*greater than 0, got 0"),
        ({"pairs": {"rounds": 1.5}}, "pairs.rounds: .*integer.*, got 1.5"),
        ({"pairs": {"evaluation_rounds": -1}}, "pairs.evaluation_rounds: .*greater than 0, got -1"),
        ({"pairs": {"seed": -1}}, "pairs.seed: .*, got -1"),
        ({"model": {"encoder": "resnet"}}, "model.encoder: .*cnn_small.*got {'name': 'resnet'}"),
        (
            {
                "data": {"kind": "table", "path": "x", "label": "y"},
                "model": {"encoder": "cnn_small"},
            },
            "cnn_small needs images, the data are vectors",
        ),
        ({"split": {"train": 0.9}}, "split: shares must be above 0 and sum to 1"),
        ({"split": {"by": "group"}}, "split.by = group needs data.group"),
        ({"train": {"num_workers": 2, "batches_per_step": 3}}, "must be a multiple of num_workers"),
        ({"train": {"num_workers": 3, "batches_per_step": 3}}, "pairs.num_shards"),
        (
            {"data": {"kind": "tfrecord", "path": "x"}},
            "name one feature: either 'image' or 'vector'",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_came(write, change, says):
    with pytest.raises(ConfigError, match=says):
        load_config(write({**SMALL, **change}))


@pytest.mark.parametrize("ratio", ["1:3", "2:1", "10:1"])
def test_a_ratio_needs_no_quotes(write, ratio):
    config = load_config(write(f"name: toy\ndata: {SMALL['data']}\npairs:\n  ratio: {ratio}\n"))
    assert config.pairs.ratio == ratio
    assert load_config(write(SMALL), (f"pairs.ratio={ratio}",)).pairs.ratio == ratio


@pytest.mark.parametrize(
    "ratio", ["-1:1", "0:1", "1:0", "1:1:1", "1", "1:", "1.5:1", "one:one", "1:²", ".5:1", ""]
)
def test_a_ratio_that_is_none_is_refused_as_it_was_written(write, ratio):
    with pytest.raises(ConfigError, match=r"pairs\.ratio: needs .* such as 1:1") as refused:
        load_config(write(SMALL), (f"pairs.ratio='{ratio}'",))
    assert str(refused.value).endswith(f", got {ratio!r}.")


@pytest.mark.parametrize("ratio", ["1", "1.5", "null", "[1, 1]", "1:"])
def test_a_ratio_of_another_type_is_refused(write, ratio):
    with pytest.raises(ConfigError, match=r"pairs\.ratio: needs .* such as 1:1"):
        load_config(write(SMALL), (f"pairs.ratio={ratio}",))


def test_a_ratio_that_no_batch_can_have_is_refused_but_where_pairs_are_given(write):
    small = ("pairs.classes_per_batch=3", "pairs.examples_per_class=2")  # 3 same, 12 different
    for ratio in ("3:1", "1:12", "6:24"):
        load_config(write(SMALL), (*small, f"pairs.ratio={ratio}"))
    for ratio in ("4:1", "1:13", "8:2"):
        with pytest.raises(ConfigError, match=r"out of reach: .* 3 same and 12 different"):
            load_config(write(SMALL), (*small, f"pairs.ratio={ratio}"))
    given = {"kind": "pairs", "path": "x", "same": "s", "left": "l", "right": "r"}
    load_config(write({**SMALL, "data": given}), (*small, "pairs.ratio=4:1"))


def test_other_numbers_of_a_file_are_read_as_ever(write):
    tree = "name: toy\ndata: {kind: images, path: x}\ntrain: {epochs: 0x10, learning_rate: 1.0e-2}"
    train = load_config(write(tree)).train
    assert (train.epochs, train.learning_rate) == (16, 0.01)


@pytest.mark.parametrize("text", ["", "- 1", "name: [", "\x00"])
def test_a_file_that_is_no_configuration_is_refused(write, text):
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        load_config(write(text))


def test_a_missing_file_is_named():
    with pytest.raises(ConfigError, match=r"Cannot read the configuration nowhere\.yaml"):
        load_config(Path("nowhere.yaml"))


@pytest.mark.parametrize("setting", ["train.epochs", "=3", "train..epochs=3", "name.x.y=[", ""])
def test_a_setting_that_is_none_is_refused(write, setting):
    with pytest.raises(ConfigError, match="--set"):
        load_config(write(SMALL), (setting,))
