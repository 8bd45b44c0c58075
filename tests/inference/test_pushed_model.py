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


def _changed(folder):
    file = folder / "saved_model.pb"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _link(folder):
    file = folder / "fingerprint.pb"
    elsewhere = folder.parent / "fingerprint.pb"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


def _linked_folder(folder):
    (folder / "variables").rename(folder.parent / "variables")
    (folder / "variables").symlink_to(folder.parent / "variables")


def _pipe(folder):
    (folder / "fingerprint.pb").unlink()
    os.mkfifo(folder / "fingerprint.pb")


def _half(folder):
    shutil.rmtree(folder / "variables")
    with (folder / "saved_model.pb").open("rb+") as file:
        file.truncate(1000)


def _of_another_format(folder):
    path = folder / "assets.extra" / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"format": 2}))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_changed, r"saved_model\.pb has changed"),
        (lambda folder: (folder / "fingerprint.pb").unlink(), r"fingerprint\.pb is missing"),
        (lambda folder: (folder / "new.txt").write_text(""), r"new\.txt does not belong to it"),
        (lambda folder: (folder / ".new").symlink_to("/"), r"\.new does not belong to it"),
        (_half, r"variables\.data.* is missing, .*saved_model\.pb has changed"),
        (_link, r"fingerprint\.pb is no plain file"),
        (_linked_folder, r"variables/variables\.data.* is missing"),
        (_pipe, r"fingerprint\.pb is no plain file"),
        (
            lambda folder: (folder / "assets.extra" / "manifest.json").unlink(),
            r"is no pushed model: it has no assets\.extra/manifest\.json",
        ),
        (_of_another_format, r"is damaged, or of another version of Diptych"),
        (
            lambda folder: (folder / "assets.extra" / "manifest.json").write_text("{"),
            r"is damaged, or of another version of Diptych",
        ),
    ],
)
def test_a_folder_that_is_not_as_it_was_pushed_is_refused(vectors, tmp_path, spoil, says):
    folder = tmp_path / "7"
    shutil.copytree(vectors, folder)
    PushedModel(folder)  # a whole copy will do, wherever it is
    spoil(folder)
    with pytest.raises(ModelError, match=says):
        PushedModel(folder)


def test_of_many_faults_some_are_named(vectors, tmp_path):
    folder = tmp_path / "7"
    shutil.copytree(vectors, folder)
    for number in range(5):
        (folder / f"{number}.txt").write_text("")
    with pytest.raises(ModelError, match=r"0\.txt .*2\.txt does not belong to it, and 2 more\."):
        PushedModel(folder)


@pytest.mark.parametrize(
    ("path", "says"), [("nowhere", "is not there"), ("", "has no model in it")]
)
def test_where_there_is_no_model_the_error_says_what_is_needed(tmp_path, path, says):
    with pytest.raises(ModelError, match=f"{says}. Correct the path"):
        PushedModel(tmp_path / path)


def test_nothing_is_loaded_before_it_is_asked(vectors):
    program = (
        "import sys; from pathlib import Path\n"
        "from diptych.inference.pushed_model import PushedModel\n"
        "print(PushedModel(Path(sys.argv[1])).threshold, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, vectors], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1.0 False\n"


def test_digests_are_those_of_sha256sum(vectors):
    for name, file in PushedModel(vectors).manifest.files.items():
        content = (vectors / name).read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
