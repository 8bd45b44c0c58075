"""Search domains, sampled trials, and validation before anything runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.cli.main import main
from diptych.pipeline.tuning.space import sample_trials
from diptych.schemas.config.config import Config
from diptych.schemas.config.loading import load_config
from diptych.schemas.config.tune import SearchDomain
from diptych.schemas.errors import ConfigError

QUANTILES = st.floats(0, 1, exclude_max=True)
RATE = {"train.learning_rate": {"log_uniform": [1e-4, 1e-2]}}


def config(space, trials=20, seed=0, **sections):
    tree = {"name": "toy", "data": {"kind": "images", "path": "/data"}, **sections}
    return Config.model_validate({**tree, "tune": {"space": space, "trials": trials, "seed": seed}})


def sample_values(space, trials=20, seed=0):
    return [trial.values for trial in sample_trials(config(space, trials, seed))]


@pytest.mark.parametrize(
    ("domain", "quantile", "value"),
    [
        ({"uniform": [0, 10]}, 0.25, 2.5),
        ({"uniform": [1, 2]}, 1 / 3, 1.333),
        ({"log_uniform": [1e-4, 1e-2]}, 0.5, 1e-3),
        ({"log_uniform": [1e-4, 1e-2]}, 0, 1e-4),
        ({"int_uniform": [3, 5]}, 0.33, 3),
        ({"int_uniform": [3, 5]}, 0.34, 4),
        ({"int_uniform": [3, 5]}, 0.99, 5),
        ({"choice": ["a", None]}, 0.49, "a"),
        ({"choice": ["a", None]}, 0.5, None),
    ],
)
def test_a_quantile_of_a_domain_is_a_value(domain, quantile, value):
    assert SearchDomain.model_validate(domain).value_at(quantile) == value


@given(low=st.floats(1e-9, 1e9), span=st.floats(1e-3, 1e3), quantile=QUANTILES)
@pytest.mark.parametrize("kind", ["uniform", "log_uniform"])
def test_floats_lie_between_the_bounds(kind, low, span, quantile):
    high = low * (1 + span)
    assert low <= SearchDomain.model_validate({kind: [low, high]}).value_at(quantile) <= high


@given(low=st.integers(-100, 100), span=st.integers(1, 100), quantile=QUANTILES)
def test_integers_lie_between_the_bounds(low, span, quantile):
    value = SearchDomain.model_validate({"int_uniform": [low, low + span]}).value_at(quantile)
    assert isinstance(value, int)
    assert low <= value <= low + span


def test_the_seed_determines_the_trials():
    space = {**RATE, "model.loss.margin": {"uniform": [0.2, 1.5]}}
    assert sample_values(space) == sample_values(space)
    assert sample_values(space)[0] != sample_values(space, seed=1)[0]


def test_more_trials_start_with_the_same_ones():
    space = {**RATE, "model.embedding_size": {"choice": [16, 32, 64]}}
    assert sample_values(space, trials=30)[:7] == sample_values(space, trials=7)


def test_eight_trials_cover_each_eighth_of_a_range():
    samples = sample_values({"train.warmup_epochs": {"uniform": [0, 8]}}, trials=8)
    assert sorted(int(value["train.warmup_epochs"]) for value in samples) == list(range(8))


def test_each_combination_of_choices_occurs_once():
    space = {
        "model.embedding_size": {"choice": [16, 32, 64]},
        "pairs.classes_per_batch": {"choice": [4, 8]},
    }
    samples = [tuple(value.values()) for value in sample_values(space)]
    assert sorted(samples) == [(16, 4), (16, 8), (32, 4), (32, 8), (64, 4), (64, 8)]


def test_the_configuration_of_a_trial_has_its_values():
    space = {
        "model.loss.margin": {"uniform": [0.2, 1.5]},  # of the default loss
        "train.optimizer": {"choice": ["sgd"]},
        "model.encoder": {"choice": [{"name": "mlp", "depth": 1}]},
    }
    (trial,) = sample_trials(config(space, trials=1))
    assert trial.number == 1
    assert trial.config.model.loss.margin == trial.values["model.loss.margin"]
    assert trial.config.train.optimizer == "sgd"
    assert trial.config.model.encoder.depth == 1
    assert trial.config.train.learning_rate == 1e-3
    assert trial.config.tune == config(space, trials=1).tune


def test_numbers_without_a_decimal_point_are_accepted(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "{name: toy, data: {kind: images, path: x}, "
        "tune: {space: {train.learning_rate: {log_uniform: [1e-4, 1e-2]}}}}"
    )
    for trial in sample_trials(load_config(tmp_path / "config.yaml")):
        assert 1e-4 <= trial.config.train.learning_rate <= 1e-2


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, r"tune\.space is empty\. Add the keys to vary"),
        (
            {"train.lerning_rate": {"choice": [1]}},
            r"unknown key train\.lerning_rate\. Keys of train: epochs,",
        ),
        (
            {"model.loss.gamma": {"choice": [1]}},
            r"unknown key model\.loss\.gamma\. Keys of model\.loss: name, mar",
        ),
        (
            {"model.decoder.weight": {"choice": [1]}},
            r"model\.decoder is None\. Set model\.decoder and",
        ),
        ({"train.epochs.x": {"choice": [1]}}, r"train\.epochs is 40"),
        (
            {"train.optimizer": {"choice": ["adam"] * 99 + ["no!"]}},  # the last is not sampled
            r"tune\.space with train\.optimizer = no!: train\.optimizer: String should match",
        ),
        (
            {"model.loss.margin": {"uniform": [-1e-9, 1]}},
            r"model\.loss.*: .*greater than 0, got -1e",
        ),
        (
            {"model.embedding_size": {"uniform": [8, 64]}},
            r"embedding_size: expected a valid in",
        ),
    ],
)
def test_an_invalid_value_is_an_error(space, message):
    with pytest.raises(ConfigError, match=message):
        sample_trials(config(space, trials=1))


@pytest.mark.parametrize(
    ("key", "domain", "message"),
    [
        (
            "evaluate.threshold",
            {"choice": [1]},
            "cannot be varied: expected a key of pairs, model, train",
        ),
        ("split.seed", {"choice": [1]}, "cannot be varied"),
        ("data.path", {"choice": ["x"]}, "cannot be varied"),
        ("train", {"choice": [1]}, "cannot be varied"),
        ("train.num_workers", {"choice": [1]}, "does not change the result of a trial"),
        ("pairs.evaluation_sampling", {"choice": ["natural"]}, "evaluated on the same pairs"),
        ("pairs.classes_per_batch", {"int_uniform": [4, 8]}, "needs a choice"),
        ("train.epochs", {}, "exactly one of choice, uniform, log_uniform, int_uniform"),
        ("train.epochs", {"choice": [1], "uniform": [1, 2]}, "exactly one of"),
        ("train.epochs", {"choice": []}, "at least 1 item"),
        ("train.epochs", {"int_uniform": [2, 2]}, r"lower bound first, got \[2, 2\]"),
        ("train.ema", {"log_uniform": [0, 1]}, r"bounds above 0, got \[0, 1\]"),
        ("train.ema", {"uniform": [0, float("inf")]}, "finite number"),
    ],
)
def test_a_key_that_cannot_be_varied_is_an_error(tmp_path, key, domain, message):
    import yaml

    tree = {
        "name": "toy",
        "data": {"kind": "images", "path": "x"},
        "tune": {"space": {key: domain}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "config.yaml")


def test_a_key_within_another_is_an_error():
    space = {"model.loss": {"choice": ["circle"]}, "model.loss.margin": {"choice": [1]}}
    with pytest.raises(ValueError, match=r"model\.loss\.margin is part of model\.loss"):
        config(space)


def test_an_invalid_space_fails_before_anything_runs(tmp_path, capfd):
    (tmp_path / "config.yaml").write_text("{name: toy, data: {kind: images, path: nowhere}}")
    with pytest.raises(SystemExit, match=r"^1$"):
        main(["tune", str(tmp_path / "config.yaml"), "--root", str(tmp_path / "root")])
    out, err = capfd.readouterr()
    assert err.startswith("Error: tune.space is empty. ")
    assert len(out.splitlines()) == 2
    assert not (tmp_path / "root" / "artifacts").exists()
