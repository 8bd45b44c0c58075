import fcntl
import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.common.local_ray import _delete_leftovers, choose_ray_folder

LONGEST_SOCKET = "ray-12345678/r/session_2026-11-21_02-15-30_123456_1234567/sockets/plasma_store.99"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.delenv("TMPDIR", raising=False)
    return monkeypatch


def test_the_folder_is_tmp_by_default(environment):
    assert choose_ray_folder() == "/tmp"
    environment.setenv("TMPDIR", "")
    assert choose_ray_folder() == "/tmp"


def test_a_usable_folder_of_the_user_is_kept(environment):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        environment.setenv("TMPDIR", folder)
        assert choose_ray_folder() == folder
        with tempfile.TemporaryDirectory(dir="/tmp") as other:
            environment.setenv("RAY_TMPDIR", other)
            assert choose_ray_folder() == other


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=120))
def test_a_socket_in_the_folder_can_be_bound_and_its_path_is_safe(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", f"/tmp/{name}")
        folder = choose_ray_folder()
    assert folder is not None
    assert len(f"{folder}/{LONGEST_SOCKET}".encode()) <= 107
    assert folder.isascii()
    assert not set(folder) & set(" \t\n'\"`$\\\\*?[]{}()<>|&;#%~!")


@pytest.mark.parametrize("name", ["file", "file/inside", "new/in", "/proc/none"])
def test_only_a_writable_folder_is_used(environment, name):
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="a") as folder:
        open(f"{folder}/file", "w").close()
        given = os.path.join(folder, name)
        environment.setenv("TMPDIR", given)
        expected = given if name.startswith("new") else "/tmp"
        assert choose_ray_folder() == expected


def test_the_folders_of_killed_processes_are_deleted(tmp_path):
    names = ("killed00", "running0", "starting", "no-token", "other-names")
    for name in names:
        folder = tmp_path / f"ray-{name}"
        (folder / "r").mkdir(parents=True)
        if name != "no-token":
            (folder / "token").touch()
        if name != "starting":
            os.utime(folder, (0, 0))
    (tmp_path / "ray-linked00").symlink_to(tmp_path / "ray-other-names")
    with (tmp_path / "ray-running0" / "token").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _delete_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("ray-linked00", "ray-no-token", "ray-other-names", "ray-running0", "ray-starting")
    ]
    assert (tmp_path / "ray-other-names" / "token").exists()
