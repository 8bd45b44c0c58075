"""Which steps a configuration asks for, and what feeds them."""

from pathlib import Path

import pytest

from diptych.schemas.config import Config
from diptych.schemas.inputs import Column, Inputs

INPUTS = Inputs(kind="vector", columns=(Column(name="a"),))


@pytest.fixture
def steps(tmp_path):
    from diptych.pipeline.graph import build_pipeline

    def build(**pairs):
        data = {"kind": "table", "path": str(tmp_path), "label": "y"}
        (tmp_path / "data.csv").write_text("y,a\n1,2\n")
        config = Config(name="toy", data=data, pairs=pairs)
        pipeline = build_pipeline(config, INPUTS, Path(tmp_path / "root"))
        return {node.id: node for node in pipeline.components}

    return build


def test_random_pairs_know_of_no_model(steps):
    found = steps()
    assert not {"ClassCentroids", "LatestBlessed"} & set(found)
    assert set(found["PairGen"].inputs) == {"transformed_examples"}


def test_confusable_pairs_come_after_the_latest_blessed_model(steps):
    found = steps(difficulty="confusable")
    assert set(found) - set(steps()) == {"LatestBlessed", "ClassCentroids"}
    centroids = found["ClassCentroids"]
    assert found["PairGen"].inputs["class_centroids"] == centroids.outputs["centroids"]
    above = {node.id for node in centroids.upstream_nodes}
    assert above == {"ExampleGen", "LatestBlessed", "AnomalyGate"}
