from pathlib import Path

import pytest
import yaml

from diptych.schemas.config.loading import load_config
from diptych.schemas.errors import ConfigError

SMALL = {"name": "toy", "data": {"kind": "images", "path": "pictures"}}
PAIRS = {"kind": "pairs", "path": "x", "same": "y", "left": 2, "right": 2}


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
                "data": PAIRS,
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
        ({"model": {"loss": "cosine"}}, "model.loss: .*'cosine' .*'contrastive', 'triplet'"),
        ({"model": {"loss": {"name": "circle", "gamma": 0}}}, "model.loss.gamma: .*above|greater"),
        ({"model": {"loss": {"name": "triplet", "gamma": 1}}}, "model.loss.gamma: Extra"),
        ({"model": {"encoder": {"name": "mlp", "unit": 1}}}, "model.encoder.unit: Extra"),
        (
            {"model": {"loss": "contrastive", "distance": "learned_l1"}},
            "model: loss contrastive goes with distance euclidean, .* not with learned_l1",
        ),
        (
            {"model": {"loss": "circle", "normalize": False}},
            "model: loss circle is made of cosines: it needs normalize: true",
        ),
        ({"data": PAIRS, "model": {"loss": "circle"}}, "compares all examples of a batch"),
        ({"data": PAIRS, "train": {"augmentation": {"mixing": 0.5}}}, "mixes examples of a class"),
        ({"data": PAIRS, "train": {"weights": "inverse_frequency"}}, "needs classes"),
        *(
            (
                {"pairs": {"policy": policy}, "train": {"weights": "inverse_frequency"}},
                f"corrects unequal classes, which pairs.policy = {policy} has done already",
            )
            for policy in ("oversample", "undersample", "inverse_frequency")
        ),
        ({"train": {"warmup_epochs": 40}}, r"warmup_epochs \(40\) must be below epochs \(40\)"),
        *(
            (
                {"train": {"calibrate_for": value}},
                "yaml: train.calibrate_for: needs best_accuracy, equal_error_rate, or a rate such "
                f"as {{false_accept_rate: 0.01}}, got {value!r}.$",
            )
            for value in ("accuracy", 0.01, None)
        ),
        (
            {"train": {"calibrate_for": {"false_accept_rate": 2}}},
            "yaml: train.calibrate_for.false_accept_rate: Input should be less than 1, got 2.$",
        ),
        (
            {"evaluate": {"bars": {"tar_at_far": {0.05: 0.9}}}},
            "evaluate: bars.tar_at_far has a bar at 0.05, and false_accept_rates are 0.1, 0.01, ",
        ),
        (
            {"data": PAIRS, "evaluate": {"bars": {"recall_at_1": 0.5}}},
            "evaluate.bars.recall_at_1 is a figure of classes",
        ),
        ({"train": {"ema": 1.0}}, "train.ema: .*less than 1, got 1.0"),
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


def test_one_correction_of_unequal_classes_is_taken(write):
    natural = {"pairs": {"policy": "natural"}, "train": {"weights": "inverse_frequency"}}
    assert load_config(write({**SMALL, **natural})).train.weights == "inverse_frequency"


def test_a_part_is_a_name_or_a_name_with_settings(write):
    short = load_config(write({**SMALL, "model": {"loss": "triplet", "encoder": "cnn"}})).model
    long = {"loss": {"name": "triplet", "margin": 0.2}, "encoder": {"name": "cnn", "dropout": 0}}
    assert short == load_config(write({**SMALL, "model": long})).model
    assert short.measured_by == "euclidean"
    again = ("model.loss=circle", "model.distance=euclidean")
    assert load_config(write(SMALL), again).model.loss.name == "circle"


def test_a_file_of_weights_lies_beside_the_configuration(write):
    encoder = {"name": "MobileNetV3Small", "weights": "small.weights.h5"}
    path = write({**SMALL, "model": {"encoder": encoder}, "train": {"warm_start": "serving"}})
    config = load_config(path, ("train.warm_start=pushed",))
    assert config.model.encoder.weights == str(path.parent / "small.weights.h5")
    assert config.train.warm_start == "pushed"
    assert load_config(path).train.warm_start == str(path.parent / "serving")


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
