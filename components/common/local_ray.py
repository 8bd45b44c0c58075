"""A local Ray cluster that only this process can use, and that ends with it.

It listens on the loopback interface only. Its token is new each time, and is stored in a file that
only this user can read, in a temporary folder that only this user can enter.
"""

import contextlib
import fcntl
import logging
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from diptych.components.common.import_path import isolated_job_config
from diptych.schemas.cleanup import cleanup, cleanup_on_error
from diptych.schemas.errors import DiptychError

_START_ATTEMPTS = 3  # the raylet gives up if its agent needs more than 15 s to start
_FALLBACK = "/tmp"
_SAFE_FOLDER = re.compile(r"[A-Za-z0-9/._+-]+")
_PREFIX, _RAY_FOLDER, _TOKEN_FILE = "ray-", "r", "token"
# A socket has at most 107 bytes; below the chosen folder, there is
# /ray-12345678/r/session_2026-11-21_02-15-30_123456_1234567/sockets/plasma_store.99
_MAX_FOLDER_LENGTH = 107 - 15 - 67
_MIN_LEFTOVER_AGE_S = 60  # a new folder has no lock yet
_progress = logging.getLogger("diptych.progress")


@contextlib.contextmanager
def local_ray(
    num_cpus: int, make_error: Callable[[str], DiptychError], **options: Any
) -> Iterator[Path]:
    """Start a local Ray without a dashboard, and stop it at the end of the context.

    Yields its folder, which is deleted at the end.

    Args:
      num_cpus: Number of CPUs that Ray schedules.
      make_error: Creates the error to raise from the reason why Ray did not start.
      **options: Further arguments of ``ray.init``.
    """
    parent = choose_ray_folder()
    if parent is None:
        raise make_error(
            "It needs a writable folder with a short name of letters, digits, / . _ and -, for its "
            f"sockets. {_FALLBACK} is not writable: set RAY_TMPDIR to another folder."
        )
    os.makedirs(parent, exist_ok=True)
    _delete_leftovers(Path(parent))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))  # mode 0700; Ray uses 0777 inside
    with cleanup(lambda: shutil.rmtree(folder, ignore_errors=True)), _private_settings(folder):
        import ray

        _start(num_cpus, make_error, {"_temp_dir": str(folder / _RAY_FOLDER), **options})
        with cleanup(ray.shutdown):
            yield folder


def choose_ray_folder() -> str | None:
    """Choose the folder that contains the private folder of a local Ray; None if none is usable.

    Ray takes RAY_TMPDIR or TMPDIR as they are. It fails if the path of a socket is longer than the
    kernel allows, and splits commands that contain the path at special characters.
    """
    given = [os.environ.get("RAY_TMPDIR"), os.environ.get("TMPDIR")]
    folders = [os.path.abspath(folder) for folder in given if folder]
    return next((folder for folder in (*folders, _FALLBACK) if _is_usable(folder)), None)


def _is_usable(folder: str) -> bool:
    if len(folder) > _MAX_FOLDER_LENGTH or not _SAFE_FOLDER.fullmatch(folder):
        return False
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _delete_leftovers(parent: Path) -> None:
    """Delete the folders of killed processes of this user: nobody has a lock on their token."""
    for folder in parent.glob(f"{_PREFIX}????????"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if is_ours and time.time() - status.st_mtime > _MIN_LEFTOVER_AGE_S:
                with (folder / _TOKEN_FILE).open() as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _private_settings(folder: Path) -> Iterator[None]:
    """Set what Ray reads from the environment, in this process and in those that it starts."""
    token = folder / _TOKEN_FILE
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32), encoding="ascii")
    with (
        token.open() as lock,
        _environment(
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN=None,  # that of a cluster, which has precedence
            RAY_AUTH_TOKEN_PATH=str(token),
            # Ray's switch for a single machine: all processes bind to 127.0.0.1.
            RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
            RAY_enable_metrics_collection="0",  # these metrics need no token
            RAY_USAGE_STATS_ENABLED="0",  # else Ray sends statistics to its authors
        ),
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends; see _delete_leftovers
        from ray._private import ray_constants
        from ray._raylet import (  # type: ignore[attr-defined] # compiled
            AuthenticationTokenLoader,
            Config,
        )

        def read_environment() -> None:  # Ray reads it on import, and stores it
            Config.initialize("")
            AuthenticationTokenLoader.instance().reset_cache()

        is_cluster_enabled = ray_constants.ENABLE_RAY_CLUSTER
        ray_constants.ENABLE_RAY_CLUSTER = False
        read_environment()
        try:
            yield
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = is_cluster_enabled
    read_environment()


@contextlib.contextmanager
def _environment(**variables: str | None) -> Iterator[None]:
    """Set environment variables, or remove those that are None; restore them at the end."""
    previous = {name: os.environ.get(name) for name in variables}
    _update_environment(variables)
    try:
        yield
    finally:
        _update_environment(previous)


def _update_environment(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _start(
    num_cpus: int, make_error: Callable[[str], DiptychError], options: dict[str, Any]
) -> None:
    import ray

    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            with cleanup_on_error(ray.shutdown):
                ray.init(
                    address="local",
                    num_cpus=num_cpus,
                    include_dashboard=False,
                    job_config=isolated_job_config(),
                    **options,
                )
            return
        except Exception as error:
            if attempt == _START_ATTEMPTS:
                raise make_error(" ".join(str(error).split()) or repr(error)) from error
            _progress.info("Ray did not start, attempt %d of %d", attempt + 1, _START_ATTEMPTS)
            time.sleep(2 * attempt)
