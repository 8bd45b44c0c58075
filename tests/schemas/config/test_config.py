import json
import re
import time
from pathlib import Path

import pytest
import yaml

from diptych.schemas.config.loading import RENAMED_KEYS, checked_config, load_config
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


def test_paths_start_at_the_folder_of_the_file(write, tmp_path):
    assert load_config(write(SMALL)).data.path == str(tmp_path / "pictures")


def test_paths_of_settings_start_at_the_working_directory(write, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = load_config(write(SMALL), ("data.path=other", "train.epochs=3", "data.size=[8, 9]"))
    assert config.data.path == str(Path.cwd() / "other")
    assert (config.train.epochs, config.data.size) == (3, (8, 9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Not A Name"}, "name: .*got 'Not A Name'"),
        ({"nmae": "x"}, r"nmae: unknown key \(did you mean name\?\), got 'x'"),
        ({"epochs": 3}, r"epochs: unknown key \(did you mean train\.epochs\?\), got 3"),
        ({"train": {"epoch": 3}}, r"train\.epoch: .*\(did you mean train\.epochs\?\), got 3"),
        ({"model": {"loss": {"name": "triplet", "gamma": 1}}}, "gamma: unknown key for triplet, "),
        ({"train": {"wheels": 4}}, "train.wheels: unknown key, got 4"),
        ({"train": None}, "train: expected a section of keys and values, got None"),
        ({"model": {"loss": {"margin": 1}}}, "model.loss: the key 'name' is required"),
        ({"nightly": {"schedule": "daily"}}, "schedule: expected a cron .* 0 2 .*, got 'daily'"),
        ({"data": {"kind": "video", "path": "x"}}, "data: .*'images', 'table', 'pairs'"),
        ({"data": {"kind": "table", "path": "x"}}, "data.label: this key is required"),
        ({"pairs": {"classes_per_batch": 1}}, "pairs.classes_per_batch: .*2, got 1"),
        ({"pairs": {"examples_per_class": 1}}, "pairs.examples_per_class: .*2, got 1"),
        (
            {
                "data": PAIRS,
                "pairs": {"negatives": "similar_classes"},
            },
            "pairs.negatives = similar_classes needs classes",
        ),
        (
            {"pairs": {"sampling": "balance"}},
            "pairs.sampling: .*'oversample', 'undersample', 'natural' or 'inverse_frequency'"
            ", got 'balance'",
        ),
        (
            {"pairs": {"evaluation_sampling": ""}},
            "pairs.evaluation_sampling: .*'oversample'.*got ''",
        ),
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
            "cnn_small needs images, but the data are vectors",
        ),
        (
            {"model": {"loss": "cosine"}},
            "model.loss: expected name .*'contrastive', 'triplet'.*'cosine'",
        ),
        ({"model": {"loss": {"name": "circle", "gamma": 0}}}, "model.loss.gamma: .*above|greater"),
        ({"model": {"loss": {"name": "triplet", "gamma": 1}}}, "model.loss.gamma: unknown key"),
        (
            {"model": {"encoder": {"name": "mlp", "unit": 1}}},
            "model.encoder.unit: .*did you mean model.encoder.units",
        ),
        (
            {"model": {"loss": "contrastive", "distance": "learned_l1"}},
            "model: loss contrastive supports the distances euclidean, .* got learned_l1",
        ),
        (
            {"model": {"loss": "circle", "normalize": False}},
            "model: loss circle is defined on cosines: it requires normalize: true",
        ),
        ({"data": PAIRS, "model": {"loss": "circle"}}, "compares all examples of a batch"),
        ({"data": PAIRS, "train": {"augmentation": {"mixing": 0.5}}}, "mixes examples of a class"),
        ({"data": PAIRS, "train": {"weights": "inverse_frequency"}}, "needs classes"),
        *(
            (
                {"pairs": {"sampling": sampling}, "train": {"weights": "inverse_frequency"}},
                f"unequal classes, but pairs.sampling = {sampling} has corrected them already",
            )
            for sampling in ("oversample", "undersample", "inverse_frequency")
        ),
        ({"train": {"warmup_epochs": 40}}, r"warmup_epochs \(40\) must be below epochs \(40\)"),
        *(
            (
                {"train": {"threshold_criterion": value}},
                "yaml: train.threshold_criterion: expected best_accuracy, equal_error_rate, or a "
                f"rate such as {{false_accept_rate: 0.01}}, got {value!r}.$",
            )
            for value in ("accuracy", 0.01, None)
        ),
        (
            {"train": {"threshold_criterion": {"false_accept_rate": 2}}},
            "yaml: train.threshold_criterion.false_accept_rate: .* less than 1, got 2.$",
        ),
        (
            {"evaluate": {"requirements": {"tar_at_far": {0.05: 0.9}}}},
            "requirements.tar_at_far has a requirement at 0.05, but false_accept_rates are 0.1, ",
        ),
        (
            {"data": PAIRS, "evaluate": {"requirements": {"recall_at_1": 0.5}}},
            "evaluate.requirements.recall_at_1 is a metric of classes",
        ),
        ({"train": {"ema": 1.0}}, "train.ema: .*less than 1, got 1.0"),
        ({"split": {"train": 0.9}}, "split: fractions must be above 0 and sum to 1"),
        ({"split": {"by": "group"}}, "split.by = group needs data.group"),
        ({"train": {"num_workers": 2, "batches_per_step": 3}}, "must be a multiple of num_workers"),
        ({"train": {"num_workers": 3, "batches_per_step": 3}}, "pairs.num_shards"),
        (
            {"data": {"kind": "tfrecord", "path": "x"}},
            "expected either 'image' or 'vector', got neither: name one feature",
        ),
    ],
)
def test_an_invalid_value_is_named_with_its_key(write, change, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write({**SMALL, **change}))


def test_many_unknown_keys_are_reported_within_seconds(write):
    unknown = {f"key{number}": 1 for number in range(500)}
    started = time.process_time()
    with pytest.raises(ConfigError, match=r"pairs\.key0: unknown key"):
        load_config(write({**SMALL, "pairs": unknown}))
    assert time.process_time() - started < 5  # 25 s if each key builds the schema


def test_json_is_yaml_also_with_characters_beyond_the_basic_plane(tmp_path):
    path = tmp_path / "config.json"
    tree = {**SMALL, "data": {**SMALL["data"], "path": "/data/\U0001f600 ä"}}
    path.write_text(json.dumps(tree))  # as a surrogate pair
    assert load_config(path).data.path == "/data/\U0001f600 ä"
    assert load_config(path, ('data.path="/x\\ud83d\\ude00"',)).data.path == "/x\U0001f600"


@pytest.mark.parametrize("text", [r"/data/\ud83d", r"\ude00\ud83d", r"\udcff"])
def test_half_of_a_surrogate_pair_is_an_error(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(f'{{"name": "toy", "data": {{"kind": "images", "path": "{text}"}}}}')
    with pytest.raises(ConfigError, match="is not valid Unicode"):
        load_config(path)


def test_a_null_character_is_an_error(tmp_path, write):
    text = '{name: toy, data: {kind: images, path: "~birds\\0"}}'
    with pytest.raises(ConfigError, match="has a null character"):
        load_config(write(text))
    with pytest.raises(ConfigError, match=r"--set data\.path: .* has a null character"):
        load_config(write(SMALL), ('data.path="~birds\\0"',))


def test_a_setting_of_thousands_of_sections_is_an_error(write):
    with pytest.raises(ConfigError, match=r"--set expects key\.path=value, got 'a\.a"):
        load_config(write(SMALL), ("a." * 3000 + "b=1",))


def test_one_correction_of_unequal_classes_is_accepted(write):
    natural = {"pairs": {"sampling": "natural"}, "train": {"weights": "inverse_frequency"}}
    assert load_config(write({**SMALL, **natural})).train.weights == "inverse_frequency"


def test_an_encoder_or_loss_is_a_name_or_a_name_with_settings(write):
    short = load_config(write({**SMALL, "model": {"loss": "triplet", "encoder": "cnn"}})).model
    long = {"loss": {"name": "triplet", "margin": 0.2}, "encoder": {"name": "cnn", "dropout": 0}}
    assert short == load_config(write({**SMALL, "model": long})).model
    assert short.distance_name == "euclidean"
    again = ("model.loss=circle", "model.distance=euclidean")
    assert load_config(write(SMALL), again).model.loss.name == "circle"


def test_the_path_of_weights_starts_at_the_folder_of_the_configuration(write):
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
def test_an_invalid_ratio_is_quoted_as_written(write, ratio):
    with pytest.raises(ConfigError, match=r"pairs\.ratio: expected .* such as 1:1") as error:
        load_config(write(SMALL), (f"pairs.ratio='{ratio}'",))
    assert str(error.value).endswith(f", got {ratio!r}.")


@pytest.mark.parametrize("ratio", ["1", "1.5", "null", "[1, 1]", "1:"])
def test_a_ratio_of_another_type_is_an_error(write, ratio):
    with pytest.raises(ConfigError, match=r"pairs\.ratio: expected .* such as 1:1"):
        load_config(write(SMALL), (f"pairs.ratio={ratio}",))


def test_a_ratio_out_of_reach_is_an_error_unless_pairs_are_given(write):
    small = (
        "pairs.classes_per_batch=3",
        "pairs.examples_per_class=2",
    )  # 3 positive and 12 negative pairs
    for ratio in ("3:1", "1:12", "6:24"):
        load_config(write(SMALL), (*small, f"pairs.ratio={ratio}"))
    for ratio in ("4:1", "1:13", "8:2"):
        with pytest.raises(ConfigError, match=r"out of reach: .* 3 positive and 12 negative"):
            load_config(write(SMALL), (*small, f"pairs.ratio={ratio}"))
    given = {"kind": "pairs", "path": "x", "same": "s", "left": "l", "right": "r"}
    load_config(write({**SMALL, "data": given}), (*small, "pairs.ratio=4:1"))


def test_other_numbers_follow_yaml(write):
    tree = "name: toy\ndata: {kind: images, path: x}\ntrain: {epochs: 0x10, learning_rate: 1.0e-2}"
    train = load_config(write(tree)).train
    assert (train.epochs, train.learning_rate) == (16, 0.01)


@pytest.mark.parametrize("text", ["", "- 1", "name: [", "\x00"])
def test_a_file_without_keys_is_an_error(write, text):
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        load_config(write(text))


def test_a_key_that_occurs_twice_is_an_error(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("name: x\ntrain: {epochs: 1}\ntrain: {seed: 1}\n")
    with pytest.raises(ConfigError, match=r"the key 'train' occurs twice .*line 3"):
        load_config(path)


def test_the_error_names_a_missing_file():
    with pytest.raises(ConfigError, match=r"Cannot read the configuration nowhere\.yaml"):
        load_config(Path("nowhere.yaml"))


@pytest.mark.parametrize("setting", ["train.epochs", "=3", "train..epochs=3", "name.x.y=[", ""])
def test_an_invalid_setting_is_an_error(write, setting):
    with pytest.raises(ConfigError, match="--set"):
        load_config(write(SMALL), (setting,))


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize("old", sorted(RENAMED_KEYS))
def test_a_renamed_key_is_an_error_that_names_the_new_key(write, old):
    key, _, value = old.partition(": ")
    expected = f"{old} was renamed to {RENAMED_KEYS[old]}."
    path = write({**SMALL, **nested(key, value or "any")})
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value) == f"{path}: {expected}"
    setting = f"{key}={value or 'any'}"
    with pytest.raises(ConfigError) as error:
        load_config(write(SMALL), (setting,))
    assert str(error.value) == f"--set {setting}: {expected}"


@pytest.mark.parametrize("new", sorted(set(RENAMED_KEYS.values())))
def test_the_new_key_exists(new):
    key, _, value = new.partition(": ")
    part = checked_config(SMALL, "test")
    for name in key.split("."):
        part = getattr(part, name)
    if value:
        assert checked_config({**SMALL, **nested(key, value)}, "test")


def test_renamed_keys_are_found_in_nested_settings_and_in_the_search_space(write):
    with pytest.raises(ConfigError, match=r"^--set .*: evaluate\.bars was renamed to "):
        load_config(write(SMALL), ("evaluate.bars.accuracy=0.5",))
    space = {
        "pairs.policy": {"choice": ["natural"]},
        "pairs.negatives": {"choice": ["random", "confusable"]},
    }
    with pytest.raises(ConfigError) as error:
        load_config(write({**SMALL, "tune": {"space": space}}))
    assert str(error.value).endswith(
        "config.yaml: pairs.negatives: confusable was renamed to pairs.negatives: similar_classes; "
        "pairs.policy was renamed to pairs.sampling."
    )


@pytest.mark.parametrize(
    "text",
    [
        "name: " + "x" * 200_000,
        "name: toy\ndata: {kind: table, path: x, label: [" + "abc," * 5_000 + "]}",
        "x" * 200_000 + ": 1",
        "".join(f"unknown{number}: 1\n" for number in range(1_000)),
        "data: {kind: " + "x" * 200_000 + "}",
        "name: '" + "x" * 200_000,
        "name: " + "7" * 5000,
        "name: " + "[" * 100_000,
        "pairs: {ratio: " + "9" * 5000 + "}",
    ],
)
def test_a_message_about_an_enormous_configuration_is_short(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "c.yaml")
    assert len(str(error.value)) < 10_001
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "c.yaml", (f"data={text}", f"{text}=1"))
    assert len(str(error.value)) < 10_001


@pytest.mark.parametrize("value", ["7" * 5000, "[" * 100_000, "2026-13-01", "x" * 2_000_000])
def test_an_enormous_value_of_an_override_is_an_error_that_shows_its_start(tmp_path, value):
    (tmp_path / "c.yaml").write_text("name: toy")
    with pytest.raises(ConfigError, match=f"--set a: '{re.escape(value[:10])}") as error:
        load_config(tmp_path / "c.yaml", (f"a={value}",))
    assert len(str(error.value)) < 1000
