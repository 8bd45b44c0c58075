import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf


def test_two_rows_of_a_table(diptych, number_model, birds):
    near = diptych("compare", f"{birds}:2", f"{birds}:5", "--model", number_model)
    assert near.exit_code == 0
    assert near.output.splitlines() == [
        "same",
        "  distance   0.5000",
        "  threshold  1.0000, calibrated",
        "  model      birds, version 3",
    ]
    far = diptych("compare", f"{birds}:2", f"{birds}:3", "--model", number_model)
    assert far.exit_code == 0
    assert far.output.splitlines()[:2] == ["different", "  distance   5.0000"]


def test_a_given_threshold_replaces_the_calibrated_one(diptych, number_model, birds):
    rows = (f"{birds}:2", f"{birds}:3", "--model", number_model, "--threshold")
    wide = diptych("compare", *rows, 5)
    assert wide.output.splitlines()[0] == "same"  # a distance equal to the threshold
    assert "5.0000, given" in wide.output
    assert diptych("compare", *rows, 4.99).output.splitlines()[0] == "different"
    assert "x>=0" in diptych("compare", *rows, -1).output


def test_json_output_for_two_images_equals_the_exported_signature(diptych, image_model, greys):
    left, right = greys / "dark" / "000.png", greys / "dark" / "051.png"
    answer = json.loads(diptych("compare", left, right, "--json", "--model", image_model).output)
    signature = tf.saved_model.load(str(image_model)).signatures["compare"]
    images = (tf.constant([path.read_bytes()]) for path in (left, right))
    expected = signature(**dict(zip(("left", "right"), images, strict=True)))
    assert answer["distance"] == float(expected["distance"][0]) == pytest.approx(0.4, abs=1e-5)
    assert answer["same"] is bool(expected["same"][0]) is False
    assert answer == {
        "left": str(left),
        "right": str(right),
        "same": False,
        "distance": answer["distance"],
        "threshold": 0.25,
        "model": "birds",
        "version": 5,
    }


def test_an_unusable_example_is_a_one_line_error(diptych, number_model, birds, greys):
    cases = {
        f"{birds}:11": "birds.csv has no row 11",
        f"{birds}:4": "birds.csv:4 cannot be used: column 'a' has no value",
        str(birds): "birds.csv has more than one example. Pass a single",
        str(greys / "dark" / "000.png"): "000.png is an image. The model birds 3 takes rows",
        "nowhere.csv:1": "nowhere.csv:1 does not exist",
    }
    for right, message in cases.items():
        result = diptych("compare", f"{birds}:2", right, "--model", number_model)
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert message in result.output
        assert len(result.output.splitlines()) == 1


def test_the_error_names_a_file_that_is_not_an_image(diptych, image_model, greys, tmp_path):
    (tmp_path / "notes.png").write_text("a wren")
    result = diptych(
        "compare", greys / "dark" / "000.png", tmp_path / "notes.png", "--model", image_model
    )
    assert result.exit_code == 1
    assert "notes.png cannot be used: not an image but text" in result.output


def test_a_changed_model_is_rejected(diptych, number_model, birds, tmp_path):
    import shutil

    shutil.copytree(number_model, tmp_path / "3")
    (tmp_path / "3" / "fingerprint.pb").write_bytes(b"other")
    result = diptych("compare", f"{birds}:2", f"{birds}:3", "--model", tmp_path / "3")
    assert (result.exit_code, "fingerprint.pb has changed" in result.output) == (1, True)


def test_only_the_result_is_printed(number_model, birds):
    program = Path(sys.executable).with_name("diptych")
    arguments = ["compare", f"{birds}:2", f"{birds}:3", "--model", number_model, "--json"]
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert np.isclose(json.loads(result.stdout)["distance"], 5)
