"""Select the version that a new model is compared with."""

import shutil

from pushed_model import push_vectors

from diptych.components.common.production import find_production_model, resolve_production


def export(version, to):
    """Copy a version without the manifest, as it was before it was pushed."""
    shutil.copytree(version, to)
    (to / "assets.extra" / "manifest.json").unlink()
    return to


def test_an_empty_folder_has_no_production_model(tmp_path):
    assert resolve_production(tmp_path / "serving") == tmp_path / "serving"
    candidate = export(push_vectors(tmp_path / "other"), tmp_path / "candidate")
    assert find_production_model(tmp_path / "serving", candidate) is None


def test_the_highest_version_is_in_production(tmp_path):
    candidate = export(push_vectors(tmp_path / "other", scale=3.0), tmp_path / "candidate")
    for number in (9, 10):
        push_vectors(tmp_path / "serving", number, scale=number)
    assert resolve_production(tmp_path / "serving") == tmp_path / "serving" / "10"
    assert find_production_model(tmp_path / "serving", candidate) == tmp_path / "serving" / "10"


def test_a_pushed_candidate_is_compared_with_another_version(tmp_path):
    for number in (1, 2):
        push_vectors(tmp_path / "serving", number, scale=number)
    candidate = export(tmp_path / "serving" / "2", tmp_path / "candidate")
    assert find_production_model(tmp_path / "serving", candidate) == tmp_path / "serving" / "1"
    first = export(tmp_path / "serving" / "1", tmp_path / "first")
    assert find_production_model(tmp_path / "serving", first) == tmp_path / "serving" / "2"
