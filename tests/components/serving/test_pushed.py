import io

import numpy as np
import pytest
from PIL import Image
from pushed_model import push_images, push_vectors

from diptych.components.serving.pushed import PushedModel


def grey(brightness, size=(20, 10)):
    file = io.BytesIO()
    Image.new("L", size, brightness).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    return push_vectors(tmp_path_factory.mktemp("serving"), columns=(("a", 1), ("b", 2)))


def test_a_model_of_vectors_embeds_and_measures(vectors):
    model = PushedModel(vectors)
    raw = np.arange(900 * 3, dtype=np.float32).reshape(900, 3)  # more than one call of the graph
    embedding = model.embed(raw)
    np.testing.assert_allclose(embedding, raw, rtol=1e-6)
    assert embedding.dtype == np.float32
    distance = model.distance(embedding[:2], np.array([[0, 1, 2], [0, 0, 5]], np.float32))
    np.testing.assert_allclose(distance, [0, 5], atol=1e-5)
    assert model.embed(raw[:0]).shape == (0, 3)


def test_a_model_of_images_embeds_what_is_in_the_files(tmp_path):
    model = PushedModel(push_images(tmp_path / "serving", channels=3))
    embedding = model.embed(np.array([grey(0), grey(51), grey(255, (8, 8))], object))
    np.testing.assert_allclose(embedding, np.repeat([[0], [0.2], [1]], 4, axis=1), atol=1e-6)


def test_the_newest_version_is_taken(tmp_path):
    push_vectors(tmp_path, version=9)
    push_vectors(tmp_path, version=10, threshold=0.5, scale=2.0)
    model = PushedModel(tmp_path)
    assert (model.version, model.threshold) == (10, 0.5)
    np.testing.assert_allclose(model.embed(np.array([[1, 3]], np.float32)), [[2, 6]])
    assert PushedModel(tmp_path / "9").version == 9


def test_a_model_of_pairs_takes_the_left_half(tmp_path):
    halves = {"columns": (("l", 2),), "right_columns": (("r", 2),), "label": "same"}
    model = PushedModel(push_vectors(tmp_path, **halves))
    np.testing.assert_allclose(model.embed(np.array([[3, 4]], np.float32)), [[3, 4]])
