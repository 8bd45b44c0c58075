"""Models and galleries used from Python."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pushed_model import push_vectors

import diptych


@pytest.fixture(scope="module")
def vector_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    return diptych.load_model(push_vectors(folder, columns=(("a", 1), ("b", 2))))


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)


def encoded(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_path_bytes_an_array_and_a_pil_image_of_the_same_pixels_have_one_embedding(
    image_model, pixels, tmp_path
):
    image = Image.fromarray(pixels)
    image.save(tmp_path / "image.png")
    forms = [tmp_path / "image.png", str(tmp_path / "image.png"), encoded(image), pixels, image]
    embeddings = image_model.embed(forms)
    assert (embeddings.shape, embeddings.dtype) == ((5, 4), np.float32)
    assert (embeddings == embeddings[0]).all()
    assert (image_model.embed(np.stack([pixels, pixels])) == embeddings[:2]).all()


def test_grey_arrays_have_two_dimensions_or_one_channel(image_model):
    grey = np.full((9, 12), 51, np.uint8)
    np.testing.assert_allclose(image_model.embed([grey, grey[..., None]]), 0.2, atol=1e-6)


def test_images_are_compared_at_the_threshold_of_the_model_or_a_given_one(image_model, workplace):
    black = workplace / "a.png"
    comparison = image_model.compare(black, np.full((9, 12), 51, np.uint8))
    assert comparison.distance == pytest.approx(0.4, abs=1e-5)
    assert (comparison.same, comparison.threshold) == (False, 0.25)
    assert image_model.compare(black, np.full((9, 12), 51, np.uint8), threshold=0.5).same


def test_rows_are_paths_dicts_sequences_or_arrays(vector_model, tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    np.savetxt(tmp_path / "flat.csv", [[1, 2]], delimiter=",")
    row = [1, 2, 3]
    forms = [row, tuple(row), np.array(row), {"a": 1, "b": [2, 3], "other": "text"}]
    assert vector_model.embed(forms).tolist() == [[1.0, 2.0, 3.0]] * 4
    assert vector_model.embed(np.array([row, row])).shape == (2, 3)
    assert vector_model.embed([]).shape == (0, 3)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (np.zeros((9, 12)), r"Example 0 is an array of float64 with the shape \(9, 12\)"),
        (np.zeros((9, 12, 5), np.uint8), r"shape \(9, 12, 5\)"),
        (np.zeros((0, 12), np.uint8), "has no pixels"),
        (7, r"Example 0 is an object of type int\. The model birds accepts images: a path"),
        ({"a": 1}, "an object of type dict"),
        (b"no image", "not an image but text"),
        (b"", "empty"),
        (np.zeros((400, 400), np.uint8), "more than 100000 pixels"),
        (Image.new("F", (4, 4)), "floating-point pixels"),
        ("nowhere.png", "nowhere.png does not exist"),
    ],
)
def test_a_wrong_image_is_reported_with_what_is_accepted(image_model, example, message):
    with pytest.raises(diptych.DataError, match=message):
        image_model.embed([example])


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ([1, 2], "Example 0 has 2 numbers, expected 3"),
        ({"a": 1}, "Example 0 has no value for 'b'"),
        ({"a": 1, "b": 2}, "the column 'b' must hold 2 numbers, got 1"),
        ([1, 2, "x"], "a value that is not a float32 number"),
        ([1, 2, 10**400], "a value that is not a float32 number: .1, 2, 1000"),
        ([1, 2, float("nan")], "not finite"),
        ([1, 2, 1e300], "not finite"),
        ([[1, 2, 3]], r"has the shape \(1, 3\)"),
        (None, "an object of type NoneType. The model birds accepts rows: a path such as"),
        (b"abc", "an object of type bytes"),
    ],
)
def test_a_wrong_row_is_reported_with_what_is_accepted(vector_model, example, message):
    with pytest.raises(diptych.DataError, match=message):
        vector_model.embed([example])


def test_a_single_example_is_not_a_list_of_examples(image_model, vector_model):
    for example in ("a.png", b"png", Image.new("L", (2, 2))):
        with pytest.raises(diptych.DataError, match=r"Expected a list .* Pass \[example\]"):
            image_model.embed(example)
    for example in (None, 5, bytearray(b"png"), {"a": 1}):
        with pytest.raises(diptych.DataError, match=r"Expected a list .* Pass \[example\]"):
            vector_model.embed(example)
    with pytest.raises(diptych.DataError, match=r"Pass frame\.to_dict\('records'\)"):
        vector_model.embed(pd.DataFrame({"a": [1], "b": [2]}))
    with pytest.raises(diptych.DataError, match=r"must have 4 dimensions, got the shape \(9, 12"):
        image_model.embed(np.zeros((9, 12, 3), np.uint8))
    with pytest.raises(diptych.DataError, match="must have 2 dimensions"):
        vector_model.embed(np.zeros(3))


def test_a_model_that_has_changed_is_refused(tmp_path):
    path = push_vectors(tmp_path / "serving")
    (path / "fingerprint.pb").write_bytes(b"other")
    with pytest.raises(diptych.ModelError, match=r"fingerprint\.pb has changed"):
        diptych.load_model(path)
    with pytest.raises(diptych.ModelError, match="does not exist"):
        diptych.load_model(tmp_path / "nowhere")


def test_a_gallery_takes_lists_and_folders_of_examples(image_model, tmp_path):
    for label, brightness in (("dark", 0), ("light", 255)):
        (tmp_path / "data" / label).mkdir(parents=True)
        Image.new("L", (8, 8), brightness).save(tmp_path / "data" / label / "1.png")
    gallery = diptych.Gallery(tmp_path / "gallery", image_model)
    assert gallery.enroll(tmp_path / "data").added == 2
    report = gallery.enroll([np.full((8, 8), 128, np.uint8)], labels="grey")
    assert (report.added, report.known, report.rejected) == (1, 0, [])
    assert gallery.enroll([np.full((8, 8), 128, np.uint8)], labels=["grey"]).known == 1
    candidates = gallery.identify(np.full((8, 8), 120, np.uint8), k=2)
    assert [each.label for each in candidates] == ["grey", "dark"]
    assert candidates[0].same and not candidates[1].same
    assert diptych.Gallery(tmp_path / "gallery", image_model).labels == gallery.labels
    assert gallery.remove("grey") == 1
    assert (len(gallery), gallery.labels) == (2, {"dark": 1, "light": 1})


def test_a_list_of_examples_needs_labels(image_model, tmp_path):
    gallery = diptych.Gallery(tmp_path / "gallery", image_model)
    with pytest.raises(diptych.DataError, match="needs labels"):
        gallery.enroll([np.zeros((8, 8), np.uint8)])
    with pytest.raises(diptych.DataError, match="Got 1 examples and 2 labels"):
        gallery.enroll([np.zeros((8, 8), np.uint8)], labels=["a", "b"])


def test_wrong_calls_of_a_gallery_are_reported(image_model, tmp_path, pixels):
    gallery = diptych.Gallery(tmp_path / "gallery", image_model)
    for example in (pixels, b"png", Image.fromarray(pixels), {"a": 1}, 5):  # instead of [example]
        with pytest.raises(diptych.DataError, match=r"Pass (\[example\]|a list)"):
            gallery.enroll(example, labels="a")
    for label in (5, None):
        with pytest.raises(diptych.DataError, match=f"A label is a string, got {label}"):
            gallery.enroll([pixels], labels=[label])
    for k in (0, -1, "all"):
        with pytest.raises(diptych.DataError, match="at least 1, got"):
            gallery.identify(pixels, k=k)
    assert gallery.enroll(iter([pixels]), labels="a").added == 1
    with pytest.raises(diptych.ModelError, match="as returned by load_model, got 'serving'"):
        diptych.Gallery(tmp_path / "gallery", "serving")
