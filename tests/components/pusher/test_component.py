import importlib.metadata
import json
import os
from pathlib import Path

import pytest
from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import json_utils, proto_utils

from diptych.components.pusher.component import AtomicPusher
from diptych.schemas.errors import ModelError
from diptych.schemas.input_spec import Column, Inputs
from diptych.schemas.manifest import ModelManifest, describe

INPUTS = Inputs(kind="vector", columns=(Column(name="a"), Column(name="b", width=2)))
CARD = {
    "inputs": INPUTS.model_dump(mode="json"),
    "embedding_size": 4,
    "distance": "cosine",
    "lowest": 0.0,
    "highest": 2.0,
    "threshold": 0.25,
}
PIPELINE = {"name": "birds", "configuration": {"data": {"kind": "table"}, "train": {"epochs": 3}}}


@pytest.fixture
def push(tmp_path):
    serving = tmp_path / "serving"
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(serving))
    )

    def push(blessed=True, weights=b"weights", **said):
        source = tmp_path / "model" / "Format-Serving"
        (source / "variables").mkdir(parents=True, exist_ok=True)
        (source / "assets.extra").mkdir(exist_ok=True)
        (source / "saved_model.pb").write_bytes(b"graph")
        (source / "variables" / "values").write_bytes(weights)
        (source / "assets.extra" / "diptych.json").write_text(json.dumps(CARD))
        model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
        model.uri, blessing.uri = str(tmp_path / "model"), str(tmp_path / "blessing")
        blessing.set_int_custom_property("blessed", int(blessed))
        for name, value in said.items():
            blessing.set_string_custom_property(name, json.dumps(value))
        pushed = standard_artifacts.PushedModel()
        pushed.uri = str(tmp_path / "pushed")
        AtomicPusher().Do(
            {"model": [model], "model_blessing": [blessing]},
            {"pushed_model": [pushed]},
            {
                "push_destination": proto_utils.proto_to_json(destination),
                "custom_config": json_utils.dumps(PIPELINE),
            },
        )
        return pushed

    return push, serving


def _files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_blessed_model_is_there_whole_and_nothing_beside_it(push):
    push, serving = push
    pushed = push(blessed=True)
    (version,) = serving.iterdir()
    assert version.name.isdigit()
    assert _files(version) == [
        "assets.extra/diptych.json",
        "assets.extra/manifest.json",
        "saved_model.pb",
        "variables/values",
    ]
    assert pushed.get_string_custom_property("pushed_destination") == str(version)
    assert pushed.get_string_custom_property("pushed_version") == version.name


def test_the_manifest_says_what_the_version_is(push):
    push, serving = push
    data = {"span": "2026-11-22", "examples": 900, "fingerprint": "ab12"}
    push(blessed=True, figures={"accuracy": 0.93, "roc_auc": 0.98}, data=data)
    (version,) = serving.iterdir()
    manifest = ModelManifest.read(version)
    manifest.check(version)
    assert manifest.name == "birds"
    assert str(manifest.version) == version.name
    assert manifest.created.endswith("+00:00")
    assert (manifest.inputs, manifest.embedding_size) == (INPUTS, 4)
    assert (manifest.distance, manifest.threshold) == ("cosine", 0.25)
    assert manifest.figures == {"accuracy": 0.93, "roc_auc": 0.98}
    assert manifest.data == data
    assert manifest.configuration == PIPELINE["configuration"]
    assert manifest.packages["tensorflow"] == importlib.metadata.version("tensorflow")
    assert set(manifest.files) == set(_files(version)) - {"assets.extra/manifest.json"}
    assert manifest.files["saved_model.pb"] == describe(version / "saved_model.pb")


def test_a_blessing_that_says_nothing_will_do(push):
    push, serving = push
    push(blessed=True)
    (version,) = serving.iterdir()
    manifest = ModelManifest.read(version)
    assert (manifest.figures, manifest.data) == ({}, {})


def test_two_pushes_in_one_second_are_two_versions_and_each_knows_its_own(push):
    push, serving = push
    pushed = [push(weights=weights) for weights in (b"1", b"2", b"3")]
    names = [each.get_string_custom_property("pushed_version") for each in pushed]
    assert sorted(path.name for path in serving.iterdir()) == sorted(names)
    assert len(set(names)) == 3
    assert [ModelManifest.read(serving / name).version for name in names] == list(map(int, names))


@pytest.mark.parametrize("place", ["", ".rolled-back"])
def test_a_new_version_is_the_newest_even_if_the_clock_was_set_back(push, place):
    push, serving = push
    push(weights=b"1")
    (first,) = serving.iterdir()
    (serving / place).mkdir(exist_ok=True)
    first.rename(serving / place / "9000000000")
    assert push(weights=b"2").get_string_custom_property("pushed_version") == "9000000001"


def test_the_newest_version_is_not_pushed_a_second_time(push):
    push, serving = push
    first = push()
    (version,) = serving.iterdir()
    manifest = (version / "assets.extra" / "manifest.json").read_bytes()
    second = push()
    assert list(serving.iterdir()) == [version]
    assert (version / "assets.extra" / "manifest.json").read_bytes() == manifest
    for name in ("pushed_destination", "pushed_version"):
        said = second.get_string_custom_property(name)
        assert said == first.get_string_custom_property(name)
    assert second.get_int_custom_property("pushed") == 1


def test_a_newest_version_that_is_damaged_is_pushed_anew(push):
    push, serving = push
    push()
    (version,) = serving.iterdir()
    (version / "saved_model.pb").write_bytes(b"grape")
    push()
    assert len(list(serving.iterdir())) == 2


def test_what_was_rolled_back_is_not_pushed_again_and_another_model_is(push):
    push, serving = push
    push(weights=b"1")
    (first,) = serving.iterdir()
    (serving / ".rolled-back").mkdir()
    first.rename(serving / ".rolled-back" / first.name)
    again = push(weights=b"1")
    assert [path.name for path in serving.iterdir()] == [".rolled-back"]
    assert again.get_int_custom_property("pushed") == 0
    assert again.get_string_custom_property("rolled_back") == first.name
    other = push(weights=b"2")
    assert other.get_int_custom_property("pushed") == 1


def test_what_a_killed_process_has_left_is_removed(push):
    push, serving = push
    half = serving / ".pushing-abc" / "1763778845"
    half.mkdir(parents=True)
    (half / "saved_model.pb").touch()
    push()
    (version,) = serving.iterdir()
    assert version.name.isdecimal()


def test_a_copy_that_is_not_the_model_is_not_pushed(push, monkeypatch):
    push, serving = push
    copy = executor.io_utils.copy_dir

    def loses_a_file(source, target, **options):
        copy(source, target, **options)
        next(Path(target).rglob("values")).unlink()

    monkeypatch.setattr(executor.io_utils, "copy_dir", loses_a_file)
    with pytest.raises(ModelError, match="variables/values is missing"):
        push()
    assert list(serving.iterdir()) == []


def test_a_model_that_is_not_blessed_is_not_pushed(push):
    push, serving = push
    pushed = push(blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0
    assert list(serving.iterdir()) == []


@pytest.mark.parametrize("breaks", ["the copy", "the manifest"])
def test_a_push_that_breaks_off_leaves_nothing(push, monkeypatch, breaks):
    push, serving = push

    def full_disk(*args, **options):
        raise OSError("No space left on device")

    if breaks == "the copy":
        monkeypatch.setattr(executor.io_utils, "copy_dir", full_disk)
    else:
        monkeypatch.setattr(ModelManifest, "write", full_disk)
    with pytest.raises(OSError, match="No space left"):
        push(blessed=True)
    assert list(serving.iterdir()) == []


def test_a_server_of_another_user_may_read_the_version(push):
    push, serving = push
    push(blessed=True)
    (version,) = serving.iterdir()
    umask = os.umask(0)
    os.umask(umask)
    assert version.stat().st_mode & 0o777 == 0o755
    manifest = version / "assets.extra" / "manifest.json"
    assert manifest.stat().st_mode & 0o777 == 0o666 & ~umask
