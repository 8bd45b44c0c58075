import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image
from pushed_model import push_images, push_vectors

from diptych.cli.main import main


@pytest.fixture(scope="session")
def number_model(tmp_path_factory):
    """Version 3 of a model of the columns a and b: threshold 1, Euclidean distance."""
    return push_vectors(tmp_path_factory.mktemp("numbers") / "serving", version=3)


@pytest.fixture(scope="session")
def image_model(tmp_path_factory):
    """Version 5 of a model of images: threshold 0.25, distance 2 between black and white."""
    return push_images(tmp_path_factory.mktemp("images") / "serving", version=5)


@pytest.fixture
def birds(tmp_path):
    """A table of five birds; the third has no value in column a."""
    table = pd.DataFrame({"a": [0, 3, None, 0.5, 0], "b": [0, 4, 1, 0, 1.0]})
    table["species"] = ["wren", "owl", "owl", "wren", None]
    table.to_csv(tmp_path / "birds.csv", index=False)
    return tmp_path / "birds.csv"


@pytest.fixture
def greys(tmp_path):
    """Plain grey images in two folders, named by their brightness."""
    for name in ("dark/000", "dark/051", "light/204", "light/255"):
        path = tmp_path / "greys" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 9), int(path.stem)).save(path)
    return tmp_path / "greys"


@pytest.fixture
def diptych():
    """Run a command in this process."""

    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run
