"""Galleries changed by several processes, or by a process that is killed."""

import signal
import sys
from pathlib import Path

import pytest
from processes import start_session, wait_until
from pushed_model import push_vectors

from diptych.inference.gallery import Gallery
from diptych.inference.pushed_model import PushedModel

DRIVER = Path(__file__).parents[1] / "support" / "enroll_driver.py"


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return push_vectors(tmp_path_factory.mktemp("serving"))


def driver_command(gallery, version, *numbers):
    return [sys.executable, str(DRIVER), str(gallery), str(version), *map(str, numbers)]


def read_acknowledged(log):
    text = log.read_text()
    return set(text[: text.rfind("\n") + 1].split())


def test_two_concurrent_processes_lose_no_examples(tmp_path, version):
    folder = tmp_path / "gallery"
    one, other = tmp_path / "one.log", tmp_path / "other.log"
    with (
        start_session(driver_command(folder, version, 0, 60, 1), one) as first,
        start_session(driver_command(folder, version, 40, 60, 1), other) as second,
    ):
        assert first.wait(120) == 0, one.read_text()
        assert second.wait(120) == 0, other.read_text()
    gallery = Gallery.open(folder, PushedModel(version))
    assert gallery.labels == {str(number): 1 for number in range(100)}


def test_a_gallery_is_intact_after_a_process_is_killed(tmp_path, version):
    folder, model = tmp_path / "gallery", PushedModel(version)
    for attempt, min_acknowledged in enumerate((1, 333, 666)):  # at different times
        log = tmp_path / f"{attempt}.log"
        with start_session(
            driver_command(folder, version, attempt * 10**6, 10**6, 50), log
        ) as process:
            wait_until(
                lambda log=log, min_acknowledged=min_acknowledged: (
                    len(read_acknowledged(log)) >= min_acknowledged
                ),
                120,
                of=process,
            )
            process.send_signal(signal.SIGKILL)
            process.wait()
        gallery = Gallery.open(folder, model)
        for previous in range(attempt + 1):
            assert read_acknowledged(tmp_path / f"{previous}.log") <= gallery.labels.keys()
        assert len(gallery) % 50 == 0  # changes are atomic
    gallery.remove("0")
    left = {path.name for path in folder.iterdir()} - {"gallery.json", ".lock"}
    listed = (folder / "gallery.json").read_text()
    assert all(name in listed for name in left)  # the next change deletes partial files
