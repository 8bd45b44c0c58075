"""Ranges, the trials drawn from them, and what is refused before anything runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.cli.main import main
from diptych.pipeline.tuning.space import sample_trials
from diptych.schemas.config.config import Config
from diptych.schemas.config.loading import load_config
from diptych.schemas.config.tune import SearchDomain
from diptych.schemas.errors import ConfigError

SHARES = st.floats(0, 1, exclude_max=True)
RATE = {"train.learning_rate": {"log_uniform": [1e-4, 1e-2]}}


def config(space, trials=20, seed=0, **sections):
    tree = {"name": "toy", "data": {"kind": "images", "path": "/data"}, **sections}
    return Config.model_validate({**tree, "tune": {"space": space, "trials": trials, "seed": seed}})


def values(space, trials=20, seed=0):
    return [trial.values for trial in sample_trials(config(space, trials, seed))]


@pytest.mark.parametrize(
    ("domain", "share", "value"),
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
def test_a_share_of_a_range_is_a_value(domain, share, value):
    assert SearchDomain.model_validate(domain).value_at(share) == value


@given(low=st.floats(1e-9, 1e9), span=st.floats(1e-3, 1e3), share=SHARES)
@pytest.mark.parametrize("kind", ["uniform", "log_uniform"])
def test_numbers_lie_between_the_ends(kind, low, span, share):
    high = low * (1 + span)
    assert low <= SearchDomain.model_validate({kind: [low, high]}).value_at(share) <= high


@given(low=st.integers(-100, 100), span=st.integers(1, 100), share=SHARES)
def test_whole_numbers_lie_between_the_ends(low, span, share):
    value = SearchDomain.model_validate({"int_uniform": [low, low + span]}).value_at(share)
    assert isinstance(value, int)
    assert low <= value <= low + span


def test_trials_are_those_of_the_seed():
    space = {**RATE, "model.loss.margin": {"uniform": [0.2, 1.5]}}
    assert values(space) == values(space)
    assert values(space)[0] != values(space, seed=1)[0]


def test_more_trials_begin_with_the_same_ones():
    space = {**RATE, "model.embedding_size": {"choice": [16, 32, 64]}}
    assert values(space, trials=30)[:7] == values(space, trials=7)


def test_eight_trials_try_each_eighth_of_a_range():
    drawn = values({"train.warmup_epochs": {"uniform": [0, 8]}}, trials=8)
    assert sorted(int(value["train.warmup_epochs"]) for value in drawn) == list(range(8))


def test_choices_are_combined_each_once():
    space = {
        "model.embedding_size": {"choice": [16, 32, 64]},
        "pairs.classes_per_batch": {"choice": [4, 8]},
    }
    drawn = [tuple(value.values()) for value in values(space)]
    assert sorted(drawn) == [(16, 4), (16, 8), (32, 4), (32, 8), (64, 4), (64, 8)]


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


def test_numbers_may_be_written_as_yaml_does_not_know_them(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "{name: toy, data: {kind: images, path: x}, "
        "tune: {space: {train.learning_rate: {log_uniform: [1e-4, 1e-2]}}}}"
    )
    for trial in sample_trials(load_config(tmp_path / "config.yaml")):
        assert 1e-4 <= trial.config.train.learning_rate <= 1e-2


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({}, r"tune\.space is empty\. Name what to vary"),
        ({"train.lerning_rate": {"choice": [1]}}, r"no train\.lerning_rate\. train has epochs,"),
        (
            {"model.loss.gamma": {"choice": [1]}},
            r"no model\.loss\.gamma\. model\.loss has name, mar",
        ),
        ({"model.decoder.weight": {"choice": [1]}}, r"as model\.decoder is None\. Name it in the"),
        ({"train.epochs.x": {"choice": [1]}}, r"as train\.epochs is 40"),
        (
            {"train.optimizer": {"choice": ["adam"] * 99 + ["no!"]}},  # which is not drawn
            r"tune\.space with train\.optimizer = no!: train\.optimizer: String should match",
        ),
        (
            {"model.loss.margin": {"uniform": [-1e-9, 1]}},
            r"model\.loss.*: .*greater than 0, got -1e",
        ),
        (
            {"model.embedding_size": {"uniform": [8, 64]}},
            r"embedding_size: Input should be a valid in",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named(space, says):
    with pytest.raises(ConfigError, match=says):
        sample_trials(config(space, trials=1))


@pytest.mark.parametrize(
    ("key", "domain", "says"),
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
def test_what_cannot_be_varied_is_refused_with_the_file(tmp_path, key, domain, says):
    import yaml

    tree = {
        "name": "toy",
        "data": {"kind": "images", "path": "x"},
        "tune": {"space": {key: domain}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=says):
        load_config(tmp_path / "config.yaml")


def test_a_key_within_another_is_refused():
    space = {"model.loss": {"choice": ["circle"]}, "model.loss.margin": {"choice": [1]}}
    with pytest.raises(ValueError, match=r"model\.loss\.margin is part of model\.loss"):
        config(space)


def test_a_wrong_space_fails_before_anything_runs(tmp_path, capfd):
    (tmp_path / "config.yaml").write_text("{name: toy, data: {kind: images, path: nowhere}}")
    with pytest.raises(SystemExit, match="^1$"):
        main(["tune", str(tmp_path / "config.yaml"), "--root", str(tmp_path / "root")])
    out, err = capfd.readouterr()
    assert err.startswith("Error: tune.space is empty. ")
    assert len(out.splitlines()) == 2
    assert not (tmp_path / "root" / "artifacts").exists()
