"""Real processes that want the same root."""

import json
import os
import signal
import subprocess
import sys

import pytest

from diptych.pipeline.lock import LOCK, only_one
from diptych.schemas.errors import BusyError, ConfigError

HOLDER = """
import pathlib, sys, time
from diptych.pipeline.lock import only_one
with only_one(pathlib.Path(sys.argv[1])) as tell:
    tell("the run night-2026-11-21")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_which_one_holds_the_root_since_when(holder, tmp_path):
    said = rf"in use by the run night-2026-11-21, process {holder.pid} on .*, since 20\d\d-"
    with pytest.raises(BusyError, match=said), only_one(tmp_path):
        pass


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_killed_holds_nothing(holder, tmp_path, end):
    os.kill(holder.pid, end)
    holder.wait()
    with only_one(tmp_path):
        assert f"process {os.getpid()}" in (tmp_path / LOCK).read_text()


def test_two_in_one_process_exclude_each_other_too_and_then_it_is_free(tmp_path):
    with only_one(tmp_path / "root"):
        with pytest.raises(BusyError), only_one(tmp_path / "root"):
            pass
        with only_one(tmp_path / "other"):
            pass
    with only_one(tmp_path / "root"):
        pass


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    def no_locks(file, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", no_locks)
    said = r"has no locks \(Operation not supported\).*local disk"
    with pytest.raises(ConfigError, match=said), only_one(tmp_path):
        pass


@pytest.mark.parametrize("command", ["run", "tune"])
def test_commands_that_write_into_a_root_wait_for_nobody(holder, tmp_path, command):
    config = tmp_path / "config.yaml"
    config.write_text(
        json.dumps({"name": "toy", "data": {"kind": "images", "path": "data"}})  # YAML, too
    )
    done = subprocess.run(
        [sys.executable.replace("python", "diptych"), command, config, "--root", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: The root {tmp_path} is in use by the run night-")
    assert not (tmp_path / "runs").exists()
