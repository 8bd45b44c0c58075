import pytest
from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from diptych.components.pusher import AtomicPusher


@pytest.fixture
def push(tmp_path):
    serving = tmp_path / "serving"
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(serving))
    )

    def push(blessed):
        source = tmp_path / "model" / "Format-Serving"
        (source / "variables").mkdir(parents=True, exist_ok=True)
        (source / "saved_model.pb").write_bytes(b"graph")
        (source / "variables" / "values").write_bytes(b"weights")
        model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
        model.uri, blessing.uri = str(tmp_path / "model"), str(tmp_path / "blessing")
        blessing.set_int_custom_property("blessed", int(blessed))
        pushed = standard_artifacts.PushedModel()
        pushed.uri = str(tmp_path / "pushed")
        AtomicPusher().Do(
            {"model": [model], "model_blessing": [blessing]},
            {"pushed_model": [pushed]},
            {"push_destination": proto_utils.proto_to_json(destination)},
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
    assert _files(version) == ["saved_model.pb", "variables/values"]
    assert pushed.get_string_custom_property("pushed_destination") == str(version)
    assert pushed.get_string_custom_property("pushed_version") == version.name


def test_two_pushes_in_one_second_are_two_versions(push):
    push, serving = push
    names = [push(blessed=True).get_string_custom_property("pushed_version") for _ in range(3)]
    assert sorted(path.name for path in serving.iterdir()) == sorted(names)
    assert len(set(names)) == 3


def test_a_model_that_is_not_blessed_is_not_pushed(push):
    push, serving = push
    pushed = push(blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0
    assert list(serving.iterdir()) == []


def test_a_copy_that_breaks_off_leaves_nothing(push, monkeypatch):
    push, serving = push

    def full_disk(source, target, deny_regex_patterns=()):
        raise OSError("No space left on device")

    monkeypatch.setattr(executor.io_utils, "copy_dir", full_disk)
    with pytest.raises(OSError, match="No space left"):
        push(blessed=True)
    assert list(serving.iterdir()) == []
