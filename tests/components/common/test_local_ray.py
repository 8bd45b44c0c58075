import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.common.local_ray import choose_ray_folder, provide_token

LONGEST_SOCKET = "session_2026-11-21_02-15-30_123456_1234567/sockets/plasma_store.99"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.delenv("TMPDIR", raising=False)
    return monkeypatch


def test_the_folder_is_that_of_ray_by_default(environment):
    assert choose_ray_folder() == "/tmp/ray"
    environment.setenv("TMPDIR", "")
    assert choose_ray_folder() == "/tmp/ray"


def test_a_usable_folder_of_the_user_is_kept(environment):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        environment.setenv("TMPDIR", folder)
        assert choose_ray_folder() == f"{folder}/ray"
        with tempfile.TemporaryDirectory(dir="/tmp") as other:
            environment.setenv("RAY_TMPDIR", other)
            assert choose_ray_folder() == f"{other}/ray"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=120))
def test_a_socket_in_the_folder_can_be_bound_and_its_path_is_safe(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", f"/tmp/{name}")
        folder = choose_ray_folder()
    assert folder is not None
    assert len(f"{folder}/{LONGEST_SOCKET}".encode()) <= 107
    assert folder.isascii()
    assert not set(folder) & set(" \t\n'\"`$\\\\*?[]{}()<>|&;#%~!")


@pytest.mark.parametrize("name", ["file", "file/inside", "missing/inside", "/proc/none"])
def test_only_a_writable_folder_is_used(environment, name):
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="a") as folder:
        open(f"{folder}/file", "w").close()
        given = os.path.join(folder, name)
        environment.setenv("TMPDIR", given)
        expected = f"{given}/ray" if name.startswith("missing") else "/tmp/ray"
        assert choose_ray_folder() == expected


@pytest.mark.parametrize("home", ["/proc/none", "file/inside"])
def test_a_home_that_is_not_writable_needs_no_token_file(environment, tmp_path, home):
    (tmp_path / "file").touch()
    environment.setenv("HOME", str(tmp_path / home))
    environment.setenv("RAY_AUTH_TOKEN", "")
    provide_token()
    token = os.environ["RAY_AUTH_TOKEN"]
    assert len(token) == 64
    provide_token()
    assert os.environ["RAY_AUTH_TOKEN"] == token


def test_a_token_of_the_user_is_kept(environment, tmp_path):
    environment.delenv("RAY_AUTH_TOKEN", raising=False)
    environment.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    environment.setenv("HOME", str(tmp_path))
    provide_token()
    assert "RAY_AUTH_TOKEN" not in os.environ
    environment.setenv("HOME", "/proc/none")
    environment.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    provide_token()
    assert "RAY_AUTH_TOKEN" not in os.environ
