import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pushed_model import push_vectors

from diptych.components.common.exported_model import inputs_of, read_card
from diptych.components.evaluator.raw_split import RawSplit, load_baseline
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column, Inputs

NOW = Inputs(kind="vector", columns=(Column(name="a"), Column(name="b", width=2)))


@pytest.fixture
def write_model(tmp_path):
    """A folder that says what a model takes; not one that could be loaded."""

    def write(inputs):
        (tmp_path / "assets.extra").mkdir()
        (tmp_path / "saved_model.pb").touch()
        card = {"inputs": inputs.model_dump(mode="json")}
        (tmp_path / "assets.extra" / "diptych.json").write_text(json.dumps(card))
        return tmp_path

    return write


def test_the_first_run_has_nothing_to_compare_with():
    model, note = load_baseline(None, NOW)
    assert model is None
    assert note == "No model is in production yet: the absolute bars alone decide."


@pytest.mark.parametrize(
    "before",
    [
        Inputs(kind="vector", columns=(Column(name="a"), Column(name="c", width=2))),
        Inputs(kind="vector", columns=(Column(name="b", width=2), Column(name="a"))),
        Inputs(kind="image", size=(8, 8), channels=1),
    ],
)
def test_a_model_of_other_inputs_is_not_compared_with(write_model, before):
    model, note = load_baseline(write_model(before), NOW)
    assert model is None
    assert "takes other inputs than the data have now: the absolute bars alone" in note


def test_a_model_that_is_not_as_it_was_pushed_is_not_compared_with(tmp_path):
    version = push_vectors(tmp_path)
    assert load_baseline(version, inputs_of(read_card(version)))[1] is None
    (version / "saved_model.pb").write_bytes(b"")
    model, note = load_baseline(version, inputs_of(read_card(version)))
    assert model is None
    assert "saved_model.pb has changed" in note
    assert "the absolute bars alone decide" in note


@pytest.mark.parametrize(
    ("same", "says"), [([1, 1, 1], "3 same and 0 diff"), ([0, 0], "0 same and 2 diff")]
)
def test_pairs_of_one_kind_are_an_error_before_any_model_is_run(same, says):
    pairs = SimpleNamespace(same=np.array(same))
    with pytest.raises(DataError, match=says):
        RawSplit(files=[], inputs=NOW, pairs=pairs, train=Path()).judge(None)
