"""Galleries that several processes change, and one that is killed meanwhile."""

import signal
import sys
from pathlib import Path

import pytest
from processes import started, wait_until
from pushed_model import push_vectors

from diptych.inference.gallery import Gallery
from diptych.inference.pushed_model import PushedModel

DRIVER = Path(__file__).parents[1] / "support" / "enroll_driver.py"


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return push_vectors(tmp_path_factory.mktemp("serving"))


def command(gallery, version, *numbers):
    return [sys.executable, str(DRIVER), str(gallery), str(version), *map(str, numbers)]


def acknowledged(log):
    text = log.read_text()
    return set(text[: text.rfind("\n") + 1].split())


def test_two_processes_at_once_lose_nothing_of_each_other(tmp_path, version):
    folder = tmp_path / "gallery"
    one, other = tmp_path / "one.log", tmp_path / "other.log"
    with (
        started(command(folder, version, 0, 60, 1), one) as first,
        started(command(folder, version, 40, 60, 1), other) as second,
    ):
        assert first.wait(120) == 0, one.read_text()
        assert second.wait(120) == 0, other.read_text()
    gallery = Gallery.open(folder, PushedModel(version))
    assert gallery.labels == {str(number): 1 for number in range(100)}


def test_a_gallery_is_whole_wherever_a_process_is_killed(tmp_path, version):
    folder, model = tmp_path / "gallery", PushedModel(version)
    for attempt, enough in enumerate((1, 333, 666)):  # at several points of the work
        log = tmp_path / f"{attempt}.log"
        with started(command(folder, version, attempt * 10**6, 10**6, 50), log) as process:
            wait_until(
                lambda log=log, enough=enough: len(acknowledged(log)) >= enough, 120, of=process
            )
            process.send_signal(signal.SIGKILL)
            process.wait()
        gallery = Gallery.open(folder, model)
        for earlier in range(attempt + 1):
            assert acknowledged(tmp_path / f"{earlier}.log") <= gallery.labels.keys()
        assert len(gallery) % 50 == 0  # a change is there whole or not at all
    gallery.remove("0")
    left = {path.name for path in folder.iterdir()} - {"gallery.json", ".lock"}
    listed = (folder / "gallery.json").read_text()
    assert all(name in listed for name in left)  # halves are gone with the next change
