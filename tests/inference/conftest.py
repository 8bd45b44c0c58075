import pytest
from pushed_model import push_images, push_vectors

from diptych.schemas.manifest import ModelManifest


@pytest.fixture(scope="session")
def image_model(tmp_path_factory):
    """Folder of a version for images of at most 100 kB and 100,000 pixels."""
    return push_images(tmp_path_factory.mktemp("image-serving"))


@pytest.fixture(scope="session")
def vector_model(tmp_path_factory):
    """Folder of a version for the columns a and b (two numbers), with labels in species."""
    columns = (("a", 1), ("b", 2))
    return push_vectors(tmp_path_factory.mktemp("vector-serving"), columns=columns)


@pytest.fixture(scope="session")
def number_model(tmp_path_factory):
    """Folder of a version for the columns a and b, with labels in species."""
    return push_vectors(tmp_path_factory.mktemp("number-serving"))


@pytest.fixture(scope="session")
def image_manifest(image_model):
    return ModelManifest.read(image_model)


@pytest.fixture(scope="session")
def vector_manifest(vector_model):
    return ModelManifest.read(vector_model)


@pytest.fixture(scope="session")
def number_manifest(number_model):
    return ModelManifest.read(number_model)
