"""Steps of the pipeline graph, their inputs and their parameters."""

import json
from pathlib import Path

import pytest
from pushed_model import push_vectors

from diptych.components.trainer.warm_start import resolve_warm_start
from diptych.schemas.config.config import Config
from diptych.schemas.config.train import FalseAcceptRate, TrainConfig, parse_threshold_criterion
from diptych.schemas.errors import ConfigError
from diptych.schemas.input_spec import Column, InputSpec

INPUTS = InputSpec(kind="vector", columns=(Column(name="a"),))


@pytest.fixture
def steps(tmp_path):
    from diptych.components.common.production import resolve_production
    from diptych.pipeline.graph import build_pipeline
    from diptych.pipeline.workspace import serving_folder

    def build(path="", data=None, **settings):
        data = data or {"kind": "table", "path": str(tmp_path / path), "label": "y"}
        (tmp_path / "data.csv").write_text("y,a\n1,2\n")
        names = ("train", "tune", "validation", "model", "evaluate", "split")
        sections = {name: settings.pop(name) for name in names if name in settings}
        config = Config(name="toy", data=data, pairs=settings, **sections)
        root = tmp_path / "root"
        production = resolve_production(serving_folder(config, root))
        pipeline = build_pipeline(config, INPUTS, root, production)
        return {node.id: node for node in pipeline.components}

    return build


def test_span_drift_runs_before_transform(steps):
    found = steps(path="span-{SPAN}/*.csv")
    assert set(found) - set(steps()) == {"SpanDrift"}
    assert {node.id for node in found["SpanDrift"].upstream_nodes} == {"ExampleGen"}
    assert "SpanDrift" in {node.id for node in found["Transform"].upstream_nodes}
    assert set(steps(path="span-{SPAN}/*.csv", validation={"drift": "off"})) == set(steps())


def test_random_negatives_use_no_model(steps):
    found = steps()
    assert "ClassCentroids" not in found
    assert set(found["PairGen"].inputs) == {"transformed_examples"}


def test_negatives_of_similar_classes_use_the_centroids_of_the_model_in_production(steps, tmp_path):
    found = steps(negatives="similar_classes")
    assert set(found) - set(steps()) == {"ClassCentroids"}
    centroids = found["ClassCentroids"]
    assert found["PairGen"].inputs["class_centroids"] == centroids.outputs["centroids"]
    above = {node.id for node in centroids.upstream_nodes}
    assert above == {"ExampleGen", "AnomalyGate"}
    assert centroids.exec_properties["production"] == str(tmp_path / "root" / "serving")


def test_a_changed_list_of_given_pairs_is_not_a_cache_hit(steps, tmp_path):
    assert steps()["Evaluator"].exec_properties["pair_list"] == ""

    def described():
        evaluate = {"pairs": str(tmp_path / "pairs.csv")}
        return json.loads(steps(evaluate=evaluate)["Evaluator"].exec_properties["pair_list"])

    (tmp_path / "pairs.csv").write_text("a,b,same\n1,2,1\n1,3,0\n")
    first = described()
    assert (first["file"], first["folders"]) == (str(tmp_path / "pairs.csv"), [])
    assert described() == first
    (tmp_path / "pairs.csv").write_text("a,b,same\n1,2,1\n1,4,0\n")
    assert described()["fingerprint"] != first["fingerprint"]


def test_the_criterion_of_the_threshold_also_calibrates_the_baseline(steps):
    assert steps()["Evaluator"].exec_properties["threshold_criterion"] == '"best_accuracy"'
    criterion = {"false_accept_rate": 0.01}
    evaluator = steps(train={"threshold_criterion": criterion})["Evaluator"]
    text = evaluator.exec_properties["threshold_criterion"]
    assert json.loads(text) == criterion
    assert parse_threshold_criterion(text) == FalseAcceptRate(false_accept_rate=0.01)


def test_a_warm_start_uses_the_newest_version_at_the_start_of_the_run(steps, tmp_path):
    def start(value):
        trainer = steps(train={"warm_start": value})["Trainer"]
        production = Path(trainer.exec_properties["production"])
        settings = TrainConfig.model_validate_json(trainer.exec_properties["train_settings"])
        return resolve_warm_start(settings, production).warm_start

    assert start("pushed") is None  # no version yet
    for version in ("9", "10"):
        model = tmp_path / "root" / "serving" / version / "saved_model.pb"
        model.parent.mkdir(parents=True)
        model.write_bytes(b"")
    assert start("pushed") == str(tmp_path / "root" / "serving" / "10")
    assert start(str(tmp_path / "root" / "serving")) == str(tmp_path / "root" / "serving" / "10")
    with pytest.raises(ConfigError, match="nowhere does not exist"):
        start(str(tmp_path / "nowhere"))


def test_a_warm_start_from_a_model_of_other_splits_is_an_error(steps, tmp_path):
    model = push_vectors(tmp_path / "start", columns=(("a", 1),), label="y")
    birds = {"kind": "table", "path": "/data/birds.csv", "label": "y"}
    train = {"warm_start": str(model)}
    steps(data=birds, train=train)
    with pytest.raises(
        ConfigError, match=r"same data \(split\.seed was 0, now 3\)\. It may have been"
    ):
        steps(data=birds, train=train, split={"seed": 3})
    with pytest.raises(ConfigError, match=r"data\.label was y, now z"):
        steps(data={**birds, "label": "z"}, train=train)
    steps(train=train, split={"seed": 3})  # of other data


def test_a_rollback_is_not_a_cache_hit_of_the_evaluator(steps, tmp_path):
    before = steps()["Evaluator"].exec_properties
    model = tmp_path / "root" / "serving" / ".rolled-back" / "7" / "saved_model.pb"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"")
    after = steps()["Evaluator"].exec_properties
    assert {name for name in after if after[name] != before[name]} == {"rolled_back"}
    assert after["rolled_back"] == '["7"]'


def test_the_search_space_is_no_parameter_of_any_step(steps):
    space = {"train.learning_rate": {"uniform": [0.001, 0.01]}}
    tuned = {name: node.exec_properties for name, node in steps(tune={"space": space}).items()}
    assert tuned == {name: node.exec_properties for name, node in steps().items()}


def test_the_pusher_gets_only_the_sections_that_the_model_depends_on(steps):
    custom_config = json.loads(steps(ratio="1:2")["Pusher"].exec_properties["custom_config"])
    assert custom_config["name"] == "toy"
    assert set(custom_config["configuration"]) == {
        "data",
        "split",
        "pairs",
        "model",
        "train",
        "evaluate",
    }
    assert custom_config["configuration"]["pairs"]["ratio"] == "1:2"
    assert custom_config["configuration"]["data"]["label"] == "y"


def test_an_encoder_of_images_for_pairs_of_vectors_raises_an_error(steps):
    data = {"kind": "pairs", "path": "p.csv", "same": "same", "left": "l*", "right": "r*"}
    with pytest.raises(ConfigError, match="encoder cnn_small needs images, but the data are vect"):
        steps(data=data, model={"encoder": "cnn_small"})
    steps(data=data, model={"encoder": "mlp"})
