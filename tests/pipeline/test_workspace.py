"""Search for a pipeline root, and detection of a running run."""

import os
import signal
import subprocess
import sys

import pytest

from diptych.pipeline.workspace import find_root, is_running, mark_running
from diptych.schemas.errors import ConfigError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_root(folder):
    folder.mkdir(exist_ok=True)
    (folder / "metadata.sqlite").touch()


def test_the_only_root_in_the_working_directory_or_its_subfolders_is_found(here):
    make_root(here / "diptych-toy")
    (here / "data").mkdir()
    assert find_root(None) == here / "diptych-toy"


def test_the_working_directory_may_be_the_root_itself(here):
    make_root(here)
    assert find_root(None) == here


def test_a_given_root_is_used(here):
    make_root(here / "diptych-toy")
    assert find_root(here / "other") == here / "other"


def test_several_roots_are_an_error_that_lists_them(here):
    make_root(here / "b")
    make_root(here / "a")
    with pytest.raises(ConfigError, match=r"2 pipeline roots in .*: a, b\. Choose one with --root"):
        find_root(None)


def test_no_root_is_an_error_with_the_command_that_creates_one(here):
    with pytest.raises(ConfigError, match=r"No pipeline root in .*diptych run CONFIG"):
        find_root(None)


def test_a_run_is_running_until_it_ends(tmp_path):
    with mark_running(tmp_path):
        assert is_running(tmp_path)
    assert not is_running(tmp_path)


def test_a_killed_run_is_not_running(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from diptych.pipeline.workspace import mark_running\n"
        "with mark_running(Path(sys.argv[1])):\n    print(1, flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        run.stdout.readline()
        assert is_running(tmp_path)
        os.kill(run.pid, signal.SIGKILL)
    assert not is_running(tmp_path)


def test_a_run_without_a_folder_is_not_running(tmp_path):
    assert not is_running(tmp_path / "gone")
