"""A local Ray cluster that ends with the process that started it."""

import logging
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diptych.components.common.import_path import isolated_job_config
from diptych.schemas.cleanup import cleanup_on_error
from diptych.schemas.errors import DiptychError

_START_ATTEMPTS = 3  # the raylet gives up if its agent needs more than 15 s to start
_TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_FALLBACK = "/tmp"
_SAFE_FOLDER = re.compile(r"[A-Za-z0-9/._+-]+")
# A socket has at most 107 bytes; below this folder, Ray adds
# /session_2026-11-21_02-15-30_123456_1234567/sockets/plasma_store.99
_MAX_FOLDER_LENGTH = 107 - 67
_progress = logging.getLogger("diptych.progress")


def choose_ray_folder() -> str | None:
    """Choose the folder for the sockets and logs of a local Ray; None if no folder is usable.

    Ray takes RAY_TMPDIR or TMPDIR as they are. It fails if the path of a socket is longer than the
    kernel allows, and splits commands that contain the path at special characters.
    """
    given = [os.environ.get("RAY_TMPDIR"), os.environ.get("TMPDIR")]
    parents = [os.path.abspath(folder) for folder in given if folder]
    folders = (os.path.join(parent, "ray") for parent in (*parents, _FALLBACK))
    return next((folder for folder in folders if _is_usable(folder)), None)


def _is_usable(folder: str) -> bool:
    if len(folder) > _MAX_FOLDER_LENGTH or not _SAFE_FOLDER.fullmatch(folder):
        return False
    while not os.path.lexists(folder):  # Ray creates it
        folder = os.path.dirname(folder)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def provide_token() -> None:
    """Give Ray a token in the environment if it cannot keep one in the home directory."""
    if any(os.environ.get(name) for name in _TOKEN_VARIABLES):
        return
    try:
        file = Path.home() / ".ray" / "auth_token"
        if file.is_file() and os.access(file, os.R_OK):
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=file.parent).close()
    except (OSError, RuntimeError):  # RuntimeError: the user has no home directory
        os.environ[_TOKEN_VARIABLES[0]] = secrets.token_hex(32)


def start_local_ray(
    num_cpus: int, make_error: Callable[[str], DiptychError], **options: Any
) -> None:
    """Start a local Ray with its own token and without a dashboard.

    Args:
      num_cpus: Number of CPUs that Ray schedules.
      make_error: Creates the error to raise from the reason why Ray did not start.
      **options: Further arguments of ``ray.init``.
    """
    # Otherwise Ray sends statistics to its authors.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    provide_token()
    import ray

    folder = choose_ray_folder()
    if folder is None:
        raise make_error(
            "It needs a writable folder with a short name of letters, digits, / . _ and -, for its "
            f"sockets. {_FALLBACK} is not writable: set RAY_TMPDIR to another folder."
        )
    options.setdefault("_temp_dir", folder)
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
