"""Which steps a configuration asks for, and what feeds them."""

import json
from pathlib import Path

import pytest

from diptych.components.trainer.warm_start import start_settled
from diptych.schemas.config.config import Config
from diptych.schemas.config.train import Train
from diptych.schemas.errors import ConfigError
from diptych.schemas.input_spec import Column, Inputs

INPUTS = Inputs(kind="vector", columns=(Column(name="a"),))


@pytest.fixture
def steps(tmp_path):
    from diptych.components.common.production import production_at_start
    from diptych.pipeline.graph import build_pipeline
    from diptych.pipeline.workspace import serving_folder

    def build(train=None, tune=None, path="", validation=None, **pairs):
        data = {"kind": "table", "path": str(tmp_path / path), "label": "y"}
        (tmp_path / "data.csv").write_text("y,a\n1,2\n")
        sections = {"train": train or {}, "tune": tune or {}, "validation": validation or {}}
        config = Config(name="toy", data=data, pairs=pairs, **sections)
        root = tmp_path / "root"
        production = production_at_start(serving_folder(config, root))
        pipeline = build_pipeline(config, INPUTS, root, production)
        return {node.id: node for node in pipeline.components}

    return build


def test_the_drift_of_spans_is_measured_before_anything_is_made_of_them(steps):
    found = steps(path="span-{SPAN}/*.csv")
    assert set(found) - set(steps()) == {"SpanDrift"}
    assert {node.id for node in found["SpanDrift"].upstream_nodes} == {"ExampleGen"}
    assert "SpanDrift" in {node.id for node in found["Transform"].upstream_nodes}
    assert set(steps(path="span-{SPAN}/*.csv", validation={"drift": "off"})) == set(steps())


def test_random_pairs_know_of_no_model(steps):
    found = steps()
    assert "ClassCentroids" not in found
    assert set(found["PairGen"].inputs) == {"transformed_examples"}


def test_confusable_pairs_come_after_the_centroids_of_the_model_in_production(steps, tmp_path):
    found = steps(difficulty="confusable")
    assert set(found) - set(steps()) == {"ClassCentroids"}
    centroids = found["ClassCentroids"]
    assert found["PairGen"].inputs["class_centroids"] == centroids.outputs["centroids"]
    above = {node.id for node in centroids.upstream_nodes}
    assert above == {"ExampleGen", "AnomalyGate"}
    assert centroids.exec_properties["production"] == str(tmp_path / "root" / "serving")


def test_a_warm_start_names_the_version_that_is_newest_when_the_run_starts(steps, tmp_path):
    def start(value):
        trainer = steps(train={"warm_start": value})["Trainer"]
        production = Path(trainer.exec_properties["production"])
        settings = Train.model_validate_json(trainer.exec_properties["train_settings"])
        return start_settled(settings, production).warm_start

    assert start("pushed") is None  # nothing has been, so far
    for version in ("9", "10"):
        model = tmp_path / "root" / "serving" / version / "saved_model.pb"
        model.parent.mkdir(parents=True)
        model.write_bytes(b"")
    assert start("pushed") == str(tmp_path / "root" / "serving" / "10")
    assert start(str(tmp_path / "root" / "serving")) == str(tmp_path / "root" / "serving" / "10")
    with pytest.raises(ConfigError, match="nowhere is not there"):
        start(str(tmp_path / "nowhere"))


def test_what_is_tuned_is_no_part_of_any_step(steps):
    space = {"train.learning_rate": {"uniform": [0.001, 0.01]}}
    tuned = {name: node.exec_properties for name, node in steps(tune={"space": space}).items()}
    assert tuned == {name: node.exec_properties for name, node in steps().items()}


def test_the_manifest_is_given_what_the_model_depends_on_and_nothing_else(steps):
    told = json.loads(steps(ratio="1:2")["Pusher"].exec_properties["custom_config"])
    assert told["name"] == "toy"
    assert set(told["configuration"]) == {"data", "split", "pairs", "model", "train", "evaluate"}
    assert told["configuration"]["pairs"]["ratio"] == "1:2"
    assert told["configuration"]["data"]["label"] == "y"
