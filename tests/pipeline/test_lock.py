"""The lock of a pipeline root, with real processes."""

import json
import os
import signal
import subprocess
import sys

import pytest

from diptych.pipeline.lock import LOCK, lock_root
from diptych.schemas.errors import BusyError, ConfigError

HOLDER = """
import pathlib, sys, time
from diptych.pipeline.lock import lock_root
with lock_root(pathlib.Path(sys.argv[1])) as set_holder:
    set_holder("the run night-2026-11-21")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_error_names_the_process_that_holds_the_lock_and_since_when(holder, tmp_path):
    message = rf"in use by the run night-2026-11-21, process {holder.pid} on .*, since 20\d\d-"
    with pytest.raises(BusyError, match=message), lock_root(tmp_path):
        pass


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_releases_the_lock(holder, tmp_path, end):
    os.kill(holder.pid, end)
    holder.wait()
    with lock_root(tmp_path):
        assert f"process {os.getpid()}" in (tmp_path / LOCK).read_text()


def test_two_locks_in_one_process_exclude_each_other(tmp_path):
    with lock_root(tmp_path / "root"):
        with pytest.raises(BusyError), lock_root(tmp_path / "root"):
            pass
        with lock_root(tmp_path / "other"):
            pass
    with lock_root(tmp_path / "root"):
        pass


def test_a_file_system_without_locks_is_an_error(tmp_path, monkeypatch):
    def no_locks(file, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", no_locks)
    message = r"has no locks \(Operation not supported\).*local disk"
    with pytest.raises(ConfigError, match=message), lock_root(tmp_path):
        pass


@pytest.mark.parametrize("command", ["run", "tune"])
def test_commands_fail_at_once_if_the_root_is_locked(holder, tmp_path, command):
    config = tmp_path / "config.yaml"
    config.write_text(
        json.dumps({"name": "toy", "data": {"kind": "images", "path": "data"}})  # also YAML
    )
    result = subprocess.run(
        [sys.executable.replace("python", "diptych"), command, config, "--root", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: The root {tmp_path} is in use by the run night-")
    assert not (tmp_path / "runs").exists()
