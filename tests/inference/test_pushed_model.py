import hashlib
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pushed_model import push_images, push_vectors

from diptych.inference.pushed_model import PushedModel
from diptych.schemas.errors import ModelError


def grey(brightness, size=(20, 10)):
    file = io.BytesIO()
    Image.new("L", size, brightness).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    return push_vectors(tmp_path_factory.mktemp("serving"), columns=(("a", 1), ("b", 2)))


def test_a_model_of_vectors_computes_embeddings_and_distances(vectors):
    model = PushedModel(vectors)
    raw = np.arange(900 * 3, dtype=np.float32).reshape(900, 3)  # several batches
    embedding = model.embed(raw)
    np.testing.assert_allclose(embedding, raw, rtol=1e-6)
    assert embedding.dtype == np.float32
    distance = model.distance(embedding[:2], np.array([[0, 1, 2], [0, 0, 5]], np.float32))
    np.testing.assert_allclose(distance, [0, 5], atol=1e-5)
    assert model.embed(raw[:0]).shape == (0, 3)


def test_a_model_of_images_embeds_encoded_images(tmp_path):
    model = PushedModel(push_images(tmp_path / "serving", channels=3))
    embedding = model.embed(np.array([grey(0), grey(51), grey(255, (8, 8))], object))
    np.testing.assert_allclose(embedding, np.repeat([[0], [0.2], [1]], 4, axis=1), atol=1e-6)


def test_the_newest_version_is_used(tmp_path):
    push_vectors(tmp_path, version=9)
    push_vectors(tmp_path, version=10, threshold=0.5, scale=2.0)
    model = PushedModel(tmp_path)
    assert (model.manifest.version, model.manifest.threshold) == (10, 0.5)
    np.testing.assert_allclose(model.embed(np.array([[1, 3]], np.float32)), [[2, 6]])
    assert PushedModel(tmp_path / "9").manifest.version == 9


def test_a_model_of_paired_data_uses_the_left_columns(tmp_path):
    halves = {"columns": (("l", 2),), "right_columns": (("r", 2),), "label": "same"}
    model = PushedModel(push_vectors(tmp_path, **halves))
    np.testing.assert_allclose(model.embed(np.array([[3, 4]], np.float32)), [[3, 4]])


def _change_byte(folder):
    file = folder / "saved_model.pb"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _replace_by_link(folder):
    file = folder / "fingerprint.pb"
    elsewhere = folder.parent / "fingerprint.pb"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


def _replace_folder_by_link(folder):
    (folder / "variables").rename(folder.parent / "variables")
    (folder / "variables").symlink_to(folder.parent / "variables")


def _replace_by_pipe(folder):
    (folder / "fingerprint.pb").unlink()
    os.mkfifo(folder / "fingerprint.pb")


def _truncate(folder):
    shutil.rmtree(folder / "variables")
    with (folder / "saved_model.pb").open("rb+") as file:
        file.truncate(1000)


def _change_format(folder):
    path = folder / "assets.extra" / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"format": 2}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_change_byte, r"saved_model\.pb has changed"),
        (lambda folder: (folder / "fingerprint.pb").unlink(), r"fingerprint\.pb is missing"),
        (lambda folder: (folder / "new.txt").write_text(""), r"new\.txt is not part of the model"),
        (lambda folder: (folder / ".new").symlink_to("/"), r"\.new is not part of the model"),
        (_truncate, r"variables\.data.* is missing, .*saved_model\.pb has changed"),
        (_replace_by_link, r"fingerprint\.pb is not a regular file"),
        (_replace_folder_by_link, r"variables/variables\.data.* is missing"),
        (_replace_by_pipe, r"fingerprint\.pb is not a regular file"),
        (
            lambda folder: (folder / "assets.extra" / "manifest.json").unlink(),
            r"is not a pushed model: assets\.extra/manifest\.json is missing",
        ),
        (_change_format, r"is damaged or was written by another version"),
        (
            lambda folder: (folder / "assets.extra" / "manifest.json").write_text("{"),
            r"is damaged or was written by another version",
        ),
    ],
)
def test_a_changed_folder_is_an_error(vectors, tmp_path, damage, message):
    folder = tmp_path / "7"
    shutil.copytree(vectors, folder)
    PushedModel(folder)  # a complete copy works in any folder
    damage(folder)
    with pytest.raises(ModelError, match=message):
        PushedModel(folder)


def test_the_error_names_some_of_many_changes(vectors, tmp_path):
    folder = tmp_path / "7"
    shutil.copytree(vectors, folder)
    for number in range(5):
        (folder / f"{number}.txt").write_text("")
    with pytest.raises(ModelError, match=r"0\.txt .*2\.txt is not part of the model, and 2 more\."):
        PushedModel(folder)


@pytest.mark.parametrize(
    ("path", "problem"), [("nowhere", "does not exist"), ("", "contains no model")]
)
def test_a_missing_model_is_an_error(tmp_path, path, problem):
    with pytest.raises(ModelError, match=f"{problem}. Pass the folder of a pushed model"):
        PushedModel(tmp_path / path)


def test_tensorflow_is_not_loaded_before_it_is_needed(vectors):
    program = (
        "import sys; from pathlib import Path\n"
        "from diptych.inference.pushed_model import PushedModel\n"
        "print(PushedModel(Path(sys.argv[1])).manifest.threshold, 'tensorflow' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, vectors], capture_output=True, text=True, check=True
    )
    assert result.stdout == "1.0 False\n"


def test_digests_are_those_of_sha256sum(vectors):
    for name, file in PushedModel(vectors).manifest.files.items():
        content = (vectors / name).read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
