from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pushed_model import push_vectors

from diptych.components.common.split_settings import dump_split_settings
from diptych.components.evaluator.raw_split import RawTestSplit, load_production_model
from diptych.schemas.config.data import Table
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.model_card import ModelCard

BIRDS = Table(kind="table", path="/data/birds.csv", label="species")
SPLITS_OF_BIRDS = dump_split_settings(BIRDS, SplitConfig())
CURRENT_INPUTS = InputSpec(kind="vector", columns=(Column(name="a"), Column(name="b", width=2)))


@pytest.fixture
def write_model(tmp_path):
    """A function that writes a model folder with a model card, which cannot be loaded."""

    def write(inputs):
        (tmp_path / "saved_model.pb").touch()
        ModelCard(
            inputs=inputs,
            embedding_size=4,
            distance="euclidean",
            lowest=0.0,
            highest=None,
            threshold=0.5,
        ).write(tmp_path)
        return tmp_path

    return write


def test_without_a_pushed_model_there_is_no_baseline():
    model, note = load_production_model(None, CURRENT_INPUTS, SPLITS_OF_BIRDS)
    assert model is None
    assert note == "No model is in production yet: only the absolute requirements apply."


@pytest.mark.parametrize(
    "pushed_inputs",
    [
        InputSpec(kind="vector", columns=(Column(name="a"), Column(name="c", width=2))),
        InputSpec(kind="vector", columns=(Column(name="b", width=2), Column(name="a"))),
        InputSpec(kind="image", size=(8, 8), channels=1),
    ],
)
def test_a_model_with_other_inputs_is_no_baseline(write_model, pushed_inputs):
    model, note = load_production_model(write_model(pushed_inputs), CURRENT_INPUTS, SPLITS_OF_BIRDS)
    assert model is None
    assert "does not accept the current inputs: only the absolute requirements apply" in note


def test_a_model_that_differs_from_its_manifest_is_no_baseline(tmp_path):
    version = push_vectors(tmp_path)
    inputs = ModelCard.read(version).inputs
    assert load_production_model(version, inputs, SPLITS_OF_BIRDS)[1] is None
    (version / "saved_model.pb").write_bytes(b"")
    model, note = load_production_model(version, inputs, SPLITS_OF_BIRDS)
    assert model is None
    assert "saved_model.pb has changed" in note
    assert "only the absolute requirements apply" in note


def test_a_model_of_other_splits_is_compared_with_a_note(tmp_path):
    version = push_vectors(tmp_path)
    other = dump_split_settings(BIRDS, SplitConfig(seed=7))
    model, note = load_production_model(version, ModelCard.read(version).inputs, other)
    assert model is not None
    assert note == (
        "The model in production was trained on other splits of the same data (split.seed was 0, "
        "now 7): it may have been trained on test examples, and the comparison favours it."
    )


@pytest.mark.parametrize(
    ("same", "counts"),
    [([1, 1, 1], "3 positive and 0 negative"), ([0, 0], "0 positive and 2 negative")],
)
def test_pairs_of_one_kind_are_an_error_before_a_model_is_run(same, counts):
    pairs = SimpleNamespace(same=np.array(same))
    with pytest.raises(DataError, match=counts):
        RawTestSplit(files=[], inputs=CURRENT_INPUTS, pairs=pairs, train_folder=Path()).predict(
            None
        )
