"""Which root is meant, and whether a run in it is going on."""

import os
import signal
import subprocess
import sys

import pytest

from diptych.pipeline.workspace import alive, find_root, is_alive
from diptych.schemas.errors import ConfigError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_root(folder):
    folder.mkdir(exist_ok=True)
    (folder / "metadata.sqlite").touch()


def test_the_only_root_here_or_directly_below_is_meant(here):
    make_root(here / "diptych-toy")
    (here / "data").mkdir()
    assert find_root(None) == here / "diptych-toy"


def test_the_working_directory_may_be_the_root_itself(here):
    make_root(here)
    assert find_root(None) == here


def test_a_root_that_is_named_is_taken(here):
    make_root(here / "diptych-toy")
    assert find_root(here / "other") == here / "other"


def test_several_roots_are_named_to_choose_from(here):
    make_root(here / "b")
    make_root(here / "a")
    with pytest.raises(ConfigError, match=r"2 roots of runs are here: a, b\. Name one with --root"):
        find_root(None)


def test_where_there_is_none_it_says_how_to_come_to_one(here):
    with pytest.raises(ConfigError, match=r"There are no runs in .*diptych run CONFIG"):
        find_root(None)


def test_a_run_is_alive_until_it_has_ended(tmp_path):
    with alive(tmp_path):
        assert is_alive(tmp_path)
    assert not is_alive(tmp_path)


def test_a_run_that_is_killed_is_not_alive(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from diptych.pipeline.workspace import alive\n"
        "with alive(Path(sys.argv[1])):\n    print(1, flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        run.stdout.readline()
        assert is_alive(tmp_path)
        os.kill(run.pid, signal.SIGKILL)
    assert not is_alive(tmp_path)


def test_without_a_folder_a_run_is_not_alive(tmp_path):
    assert not is_alive(tmp_path / "gone")
