"""Which version a new model is compared with."""

import shutil

from pushed_model import push_vectors

from diptych.components.common.production import production_at_start, production_before


def exported(version, to):
    """The model of a version as it was before it was pushed: without the manifest."""
    shutil.copytree(version, to)
    (to / "assets.extra" / "manifest.json").unlink()
    return to


def test_in_an_empty_folder_there_is_none(tmp_path):
    assert production_at_start(tmp_path / "serving") == tmp_path / "serving"
    candidate = exported(push_vectors(tmp_path / "other"), tmp_path / "candidate")
    assert production_before(tmp_path / "serving", candidate) is None


def test_it_is_the_version_with_the_highest_number(tmp_path):
    candidate = exported(push_vectors(tmp_path / "other", scale=3.0), tmp_path / "candidate")
    for number in (9, 10):
        push_vectors(tmp_path / "serving", number, scale=number)
    assert production_at_start(tmp_path / "serving") == tmp_path / "serving" / "10"
    assert production_before(tmp_path / "serving", candidate) == tmp_path / "serving" / "10"


def test_a_model_that_is_in_production_is_compared_with_the_one_before_it(tmp_path):
    for number in (1, 2):
        push_vectors(tmp_path / "serving", number, scale=number)
    candidate = exported(tmp_path / "serving" / "2", tmp_path / "candidate")
    assert production_before(tmp_path / "serving", candidate) == tmp_path / "serving" / "1"
    first = exported(tmp_path / "serving" / "1", tmp_path / "first")
    assert production_before(tmp_path / "serving", first) == tmp_path / "serving" / "2"
