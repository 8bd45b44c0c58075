import json
import shutil

import pyarrow.parquet as pq
import pytest
from PIL import Image
from pushed_model import push_images


@pytest.fixture
def gallery(diptych, image_model, greys, tmp_path):
    """A gallery of two classes of two images: dark (0 and 51) and light (204 and 255)."""
    result = diptych("enroll", tmp_path / "gallery", greys, "--model", image_model)
    assert result.exit_code == 0, result.output
    return tmp_path / "gallery"


@pytest.fixture
def grey(tmp_path):
    def draw(brightness, name="query.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 9), brightness).save(path)
        return path

    return draw


def test_subfolders_are_the_labels(diptych, gallery, image_model, greys):
    again = diptych("enroll", gallery, greys, "--model", image_model)
    assert again.exit_code == 0
    assert again.stdout.splitlines() == [
        "Added       0",
        "Known       4, skipped",
        f"Gallery     {gallery}: 4 examples of 2 classes, of the model birds version 5",
    ]


def test_one_example_of_a_new_class_is_enough(diptych, gallery, image_model, grey):
    query = grey(128)
    before = diptych("identify", gallery, query, "--model", image_model)
    assert before.exit_code == 0
    assert before.stdout.splitlines()[0] == "unknown"
    enrolled = diptych(
        "enroll", gallery, grey(120, "new.png"), "--label", "mid", "--model", image_model
    )
    assert enrolled.exit_code == 0, enrolled.output
    after = diptych("identify", gallery, query, "--k", "2", "--model", image_model)
    name, first, second, *_ = after.stdout.splitlines()
    assert name == "mid"
    assert first.split()[:3] == ["0.0627", "same", "mid"]  # 2 x 8 / 255
    assert second.split()[:3] == ["0.5961", "different", "light"]  # 2 x 76 / 255


def test_json_output_of_identify(diptych, gallery, image_model, greys, grey):
    result = diptych("identify", gallery, grey(30), "--k", "1", "--json", "--model", image_model)
    answer = json.loads(result.stdout)
    assert answer == {
        "source": "query.png",
        "label": "dark",
        "candidates": [
            {
                "label": "dark",
                "distance": pytest.approx(2 * 21 / 255, abs=1e-5),
                "source": str(greys / "dark/051.png"),
                "same": True,
            }
        ],
        "threshold": 0.25,
        "model": "birds",
        "version": 5,
    }


def test_identifying_a_folder_prints_a_line_per_image_or_writes_a_table(
    diptych, gallery, image_model, greys, tmp_path
):
    (greys / "dark/bad.png").write_bytes(b"no picture")
    lines = diptych("identify", gallery, greys, "--model", image_model)
    assert [line.split(" (")[0] for line in lines.stdout.splitlines()] == [
        "dark/000.png: dark",
        "dark/051.png: dark",
        "light/204.png: light",
        "light/255.png: light",
    ]
    assert "Rejected    1" in lines.stderr
    assert "dark/bad.png: not an image but text" in lines.stderr
    out = tmp_path / "found.parquet"
    result = diptych("identify", gallery, greys, "--out", out, "--model", image_model)
    assert result.exit_code == 0
    rows = pq.read_table(out).to_pylist()
    assert [row["label"] for row in rows] == ["dark", "dark", "light", "light"]
    assert rows[0]["nearest_labels"] == ["dark", "light"]
    assert rows[0]["nearest_distances"] == pytest.approx([0, 1.6], abs=1e-5)


def test_the_label_column_of_a_table_is_used(diptych, number_model, birds, tmp_path):
    gallery = tmp_path / "gallery"
    result = diptych("enroll", gallery, birds, "--model", number_model)
    assert result.exit_code == 0
    assert "Added       3" in result.stdout
    assert "birds.csv:4: " in result.stderr  # a number is missing
    assert "birds.csv:6: has no label" in result.stderr
    found = diptych("identify", gallery, f"{birds}:6", "--model", number_model)
    name, first, *_ = found.stdout.splitlines()
    assert name == "wren"
    assert first.split() == ["1.0000", "same", "wren", f"({birds}:2)"]


def test_a_newer_model_requires_re_embedding(diptych, gallery, image_model, greys):
    newer = push_images(image_model.parent, version=6, scale=2.0, threshold=0.5)
    try:
        rejected = diptych("identify", gallery, greys, "--model", image_model.parent)
        assert rejected.exit_code == 1
        assert "version 5" in rejected.stderr
        assert "version 6" in rejected.stderr
        assert f"--model {image_model}" in rejected.stderr
        assert "--re-embed" in rejected.stderr
        shutil.rmtree(greys)  # the gallery stores the images
        re_embedded = diptych("enroll", gallery, "--re-embed", "--model", newer)
        assert re_embedded.exit_code == 0, re_embedded.output
        assert "4 examples of 2 classes, of the model birds version 6" in re_embedded.stdout
    finally:
        shutil.rmtree(newer)


def test_the_same_image_under_another_label_is_reported(diptych, gallery, image_model, greys):
    path = greys / "dark/000.png"
    result = diptych("enroll", gallery, path, "--label", "black", "--model", image_model)
    assert result.exit_code == 1
    assert f"{path}: dark, and now black" in result.stderr
    removed = diptych(
        "enroll", gallery, path, "--remove", "dark", "--label", "black", "--model", image_model
    )
    assert removed.exit_code == 0
    assert removed.stdout.splitlines()[:2] == ["Removed     2 of dark", "Added       1"]


def test_examples_without_labels_require_a_label(diptych, gallery, image_model, greys):
    result = diptych("enroll", gallery, greys / "dark", "--model", image_model)
    assert result.exit_code == 1
    assert "has no labels. Pass --label NAME" in result.stderr


def test_enroll_without_anything_to_do_is_an_error(diptych, gallery):
    result = diptych("enroll", gallery)
    assert result.exit_code == 2
    assert "Pass a PATH, --remove LABEL or --re-embed" in result.stderr


def test_control_characters_in_labels_are_escaped(diptych, gallery, image_model, greys, grey):
    label = "\x1b[2J\nforged: line [bold]"
    result = diptych("enroll", gallery, grey(128), "--label", label, "--model", image_model)
    assert result.exit_code == 0
    found = diptych("identify", gallery, grey(128), "--model", image_model)
    assert found.stdout.splitlines()[0] == r"\x1b[2J\nforged: line [bold]"
    assert "\x1b" not in found.stdout
    rejected = diptych("enroll", gallery, grey(128), "--label", "mid", "--model", image_model)
    assert rejected.exit_code == 1
    assert "\x1b" not in rejected.stdout + rejected.stderr


def test_the_table_of_identify_must_be_writable(diptych, gallery, image_model, greys, tmp_path):
    for out, message in (
        (tmp_path / "no" / "found.parquet", "does not exist"),
        (greys, "a folder"),
    ):
        result = diptych("identify", gallery, greys, "--out", out, "--model", image_model)
        assert (result.exit_code, message in result.stderr) == (1, True)
