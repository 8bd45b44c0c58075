import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image
from pushed_model import push_images, push_vectors

from diptych.cli.main import main


@pytest.fixture(scope="session")
def number_model(tmp_path_factory):
    """Version 3 of a model of a and b, whose threshold is 1; distances are Euclidean."""
    return push_vectors(tmp_path_factory.mktemp("numbers") / "serving", version=3)


@pytest.fixture(scope="session")
def image_model(tmp_path_factory):
    """Version 5 of a model of images, whose threshold is 0.25; distance 2 is black to white."""
    return push_images(tmp_path_factory.mktemp("images") / "serving", version=5)


@pytest.fixture
def birds(tmp_path):
    """A table of five birds; in row 2 a number is missing."""
    table = pd.DataFrame({"a": [0, 3, None, 0.5, 0], "b": [0, 4, 1, 0, 1.0]})
    table["species"] = ["wren", "owl", "owl", "wren", None]
    table.to_csv(tmp_path / "birds.csv", index=False)
    return tmp_path / "birds.csv"


@pytest.fixture
def greys(tmp_path):
    """Plain pictures in two folders, named after their brightness."""
    for name in ("dark/000", "dark/051", "light/204", "light/255"):
        path = tmp_path / "greys" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 9), int(path.stem)).save(path)
    return tmp_path / "greys"


@pytest.fixture
def diptych():
    """Runs a command as from a shell, in this process."""

    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run
