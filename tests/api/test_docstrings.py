"""The examples in the docstrings of the Python API give the output that they show."""

import doctest
import importlib

import pytest

import diptych

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
OBJECTS = [
    *("run", "open_run", "load_model", "read_pairs"),
    *("Model", "Gallery"),
]


def examples_of(name):
    found = doctest.DocTestFinder().find(getattr(diptych, name), name, module=False)
    return [each for each in found if each.examples]


@pytest.mark.parametrize("name", OBJECTS)
def test_the_examples_of_the_docstrings_run(
    name, workplace, finished_run, image_model, tmp_path, monkeypatch
):
    for image in workplace.glob("*.png"):
        (tmp_path / image.name).symlink_to(image)
    for file in ("diptych.yaml", "data.csv", "root"):
        (tmp_path / file).symlink_to(workplace / file)
    monkeypatch.chdir(tmp_path)
    tests = examples_of(name)
    assert tests
    for test in tests:
        test.globs = {"diptych": diptych, "run": finished_run, "model": image_model}
        result = doctest.DocTestRunner(optionflags=FLAGS).run(test)
        assert result.failed == 0, test.name


def test_all_names_of_the_package_exist():
    for name in diptych.__all__:
        assert getattr(diptych, name) is not None
    assert set(diptych.__all__) <= set(dir(diptych))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = diptych.Nothing
    assert importlib.import_module("diptych.schemas.artifacts").PairSet is diptych.PairSet
