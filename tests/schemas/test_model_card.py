import json
import math

import pytest

from diptych.schemas.errors import ModelError
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.model_card import ModelCard

VECTORS = InputSpec(kind="vector", columns=(Column(name="a"), Column(name="b", width=2)))
CARD = ModelCard(
    inputs=VECTORS,
    embedding_size=2,
    distance="learned_l1",
    distance_weights=(-0.5, 1.25),
    lowest=0.0,
    highest=1.0,
    threshold=0.25,
)


def card_path(folder):
    return folder / "assets.extra" / "diptych.json"


@pytest.mark.parametrize("card", [CARD, CARD.model_copy(update={"highest": None})])
@pytest.mark.parametrize("threshold", [0.25, -1e-9, 3.4e38])
def test_a_written_card_is_read_unchanged(tmp_path, card, threshold):
    card = card.model_copy(update={"threshold": threshold})
    card.write(tmp_path)
    assert ModelCard.read(tmp_path) == card


def test_the_keys_of_the_file_are_frozen(tmp_path):
    CARD.write(tmp_path)
    assert json.loads(card_path(tmp_path).read_text()) == {
        "inputs": {
            "kind": "vector",
            "columns": [{"name": "a", "width": 1}, {"name": "b", "width": 2}],
            "right_columns": [],
            "size": [0, 0],
            "channels": 0,
            "background": [255, 255, 255],
            "image_pairs": False,
        },
        "embedding_size": 2,
        "distance": "learned_l1",
        "distance_weights": [-0.5, 1.25],
        "lowest": 0.0,
        "highest": 1.0,
        "threshold": 0.25,
        "image_formats": [],
    }


def test_a_card_accepts_equal_columns_and_images_of_any_size():
    other = InputSpec(kind="vector", columns=(Column(name="b", width=2), Column(name="a")))
    images = InputSpec(kind="image", size=(8, 8), channels=1)
    assert CARD.accepts_inputs(VECTORS)
    assert not CARD.accepts_inputs(other)
    assert not CARD.accepts_inputs(images)
    image_card = CARD.model_copy(update={"inputs": images})
    assert image_card.accepts_inputs(images.model_copy(update={"size": (16, 9)}))


def test_a_folder_without_a_card_raises(tmp_path):
    with pytest.raises(ModelError, match=r"is not a Diptych model: .*diptych\.json cannot be read"):
        ModelCard.read(tmp_path)


def test_a_card_larger_than_1_mb_raises(tmp_path):
    CARD.write(tmp_path)
    with card_path(tmp_path).open("a") as file:
        file.write(" " * 1_000_000)
    with pytest.raises(ModelError, match="is larger than 1000000 bytes"):
        ModelCard.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": "high"}, r"threshold: .*valid number.*\(1 invalid values\)"),
        ({"distance": "hamming"}, "distance: "),
        ({"license": "MIT"}, "license: Extra inputs are not permitted"),
        ({"threshold": math.nan}, "threshold: "),
        ({"threshold": 1e39}, "threshold: .*less than or equal"),  # infinite as float32
        ({"lowest": -math.inf}, "lowest: "),
        ({"embedding_size": 0}, "embedding_size: "),
        ({"inputs": {"kind": "vector"}}, "inputs: .*at least one value"),
        ({"inputs": {"kind": "image", "size": [8, -1], "channels": 1}}, "at least one value"),
        ({"inputs": {"kind": "image", "size": [8, 8], "channels": 2}}, "1 or 3 channels, got 2"),
    ],
)
def test_a_card_with_invalid_values_raises(tmp_path, change, message):
    CARD.write(tmp_path)
    content = json.loads(card_path(tmp_path).read_text()) | change
    card_path(tmp_path).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=rf"diptych\.json is damaged.*{message}"):
        ModelCard.read(tmp_path)


def test_a_file_that_is_not_json_raises(tmp_path):
    CARD.write(tmp_path)
    card_path(tmp_path).write_text("{")
    with pytest.raises(ModelError, match=r"is damaged.*the file: Invalid JSON"):
        ModelCard.read(tmp_path)
