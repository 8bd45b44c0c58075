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
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.manifest import ModelManifest, compute_digest
from diptych.schemas.model_card import ModelCard

INPUTS = InputSpec(kind="vector", columns=(Column(name="a"), Column(name="b", width=2)))
CARD = ModelCard(
    inputs=INPUTS,
    embedding_size=4,
    distance="cosine",
    lowest=0.0,
    highest=2.0,
    threshold=0.25,
)
PIPELINE = {"name": "birds", "configuration": {"data": {"kind": "table"}, "train": {"epochs": 3}}}


@pytest.fixture
def push(tmp_path):
    serving = tmp_path / "serving"
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(serving))
    )

    def push(blessed=True, weights=b"weights", **properties):
        source = tmp_path / "model" / "Format-Serving"
        (source / "variables").mkdir(parents=True, exist_ok=True)
        (source / "saved_model.pb").write_bytes(b"graph")
        (source / "variables" / "values").write_bytes(weights)
        CARD.write(source)
        model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
        model.uri, blessing.uri = str(tmp_path / "model"), str(tmp_path / "blessing")
        blessing.set_int_custom_property("blessed", int(blessed))
        for name, value in properties.items():
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


def test_a_blessed_model_is_pushed_completely_and_nothing_else(push):
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


def test_the_manifest_describes_the_version(push):
    push, serving = push
    data = {"span": "2026-11-22", "examples": 900, "fingerprint": "ab12"}
    push(blessed=True, metrics={"accuracy": 0.93, "roc_auc": 0.98}, data=data)
    (version,) = serving.iterdir()
    manifest = ModelManifest.read(version)
    manifest.verify(version)
    assert manifest.name == "birds"
    assert str(manifest.version) == version.name
    assert manifest.created.endswith("+00:00")
    assert (manifest.inputs, manifest.embedding_size) == (INPUTS, 4)
    assert (manifest.distance, manifest.threshold) == ("cosine", 0.25)
    assert manifest.metrics == {"accuracy": 0.93, "roc_auc": 0.98}
    assert manifest.data == data
    assert manifest.configuration == PIPELINE["configuration"]
    assert manifest.packages["tensorflow"] == importlib.metadata.version("tensorflow")
    assert set(manifest.files) == set(_files(version)) - {"assets.extra/manifest.json"}
    assert manifest.files["saved_model.pb"] == compute_digest(version / "saved_model.pb")


def test_a_blessing_without_properties_is_accepted(push):
    push, serving = push
    push(blessed=True)
    (version,) = serving.iterdir()
    manifest = ModelManifest.read(version)
    assert (manifest.metrics, manifest.data) == ({}, {})


def test_pushes_within_one_second_get_distinct_versions(push):
    push, serving = push
    pushed = [push(weights=weights) for weights in (b"1", b"2", b"3")]
    names = [each.get_string_custom_property("pushed_version") for each in pushed]
    assert sorted(path.name for path in serving.iterdir()) == sorted(names)
    assert len(set(names)) == 3
    assert [ModelManifest.read(serving / name).version for name in names] == list(map(int, names))


@pytest.mark.parametrize("folder", ["", ".rolled-back"])
def test_a_new_version_is_the_highest_even_if_the_clock_was_set_back(push, folder):
    push, serving = push
    push(weights=b"1")
    (first,) = serving.iterdir()
    (serving / folder).mkdir(exist_ok=True)
    first.rename(serving / folder / "9000000000")
    assert push(weights=b"2").get_string_custom_property("pushed_version") == "9000000001"


def test_the_newest_version_is_not_pushed_twice(push):
    push, serving = push
    first = push()
    (version,) = serving.iterdir()
    manifest = (version / "assets.extra" / "manifest.json").read_bytes()
    second = push()
    assert list(serving.iterdir()) == [version]
    assert (version / "assets.extra" / "manifest.json").read_bytes() == manifest
    for name in ("pushed_destination", "pushed_version"):
        value = second.get_string_custom_property(name)
        assert value == first.get_string_custom_property(name)
    assert second.get_int_custom_property("pushed") == 1


def test_a_damaged_newest_version_is_pushed_again(push):
    push, serving = push
    push()
    (version,) = serving.iterdir()
    (version / "saved_model.pb").write_bytes(b"grape")
    push()
    assert len(list(serving.iterdir())) == 2


def test_a_rolled_back_model_is_not_pushed_again_but_another_model_is(push):
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


def test_staging_folders_of_killed_processes_are_removed(push):
    push, serving = push
    staging = serving / ".pushing-abc" / "1763778845"
    staging.mkdir(parents=True)
    (staging / "saved_model.pb").touch()
    push()
    (version,) = serving.iterdir()
    assert version.name.isdecimal()


def test_an_incomplete_copy_is_not_pushed(push, monkeypatch):
    push, serving = push
    copy = executor.io_utils.copy_dir

    def copy_without_a_file(source, target, **options):
        copy(source, target, **options)
        next(Path(target).rglob("values")).unlink()

    monkeypatch.setattr(executor.io_utils, "copy_dir", copy_without_a_file)
    with pytest.raises(ModelError, match="variables/values is missing"):
        push()
    assert list(serving.iterdir()) == []


def test_a_model_without_blessing_is_not_pushed(push):
    push, serving = push
    pushed = push(blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0
    assert list(serving.iterdir()) == []


@pytest.mark.parametrize("failing", ["the copy", "the manifest"])
def test_a_failed_push_leaves_no_files(push, monkeypatch, failing):
    push, serving = push

    def full_disk(*args, **options):
        raise OSError("No space left on device")

    if failing == "the copy":
        monkeypatch.setattr(executor.io_utils, "copy_dir", full_disk)
    else:
        monkeypatch.setattr(ModelManifest, "write", full_disk)
    with pytest.raises(OSError, match="No space left"):
        push(blessed=True)
    assert list(serving.iterdir()) == []


def test_other_users_can_read_the_version(push):
    push, serving = push
    push(blessed=True)
    (version,) = serving.iterdir()
    umask = os.umask(0)
    os.umask(umask)
    assert version.stat().st_mode & 0o777 == 0o755
    manifest = version / "assets.extra" / "manifest.json"
    assert manifest.stat().st_mode & 0o777 == 0o666 & ~umask
