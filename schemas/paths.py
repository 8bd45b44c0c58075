"""Paths of the user: any name that the file system allows, or an error before anything runs."""

import os
import tempfile
from pathlib import Path

from diptych.schemas.errors import ConfigError

# SQLite opens no path above 512 bytes, including the name of the database and of its journal.
_MAX_ROOT_BYTES = 480


def check_root(root: Path) -> Path:
    """Check that ML Metadata and TensorFlow can use a path as the pipeline root, and return it.

    Raises:
      ConfigError: If the name is not UTF-8, or too long.
    """
    _check_utf8(root)
    length = len(os.path.realpath(root).encode())
    if length > _MAX_ROOT_BYTES:
        raise ConfigError(
            f"The path of the root has {length} bytes, and ML Metadata can open a database only in "
            f"a folder of at most {_MAX_ROOT_BYTES}: {root}. Choose a shorter path with --root."
        )
    return root


def check_temporary_folder() -> None:
    """Check that temporary files can be written.

    Raises:
      ConfigError: If no folder for them is writable.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise ConfigError(
            "No folder for temporary files is writable: neither TMPDIR nor /tmp nor the working "
            "directory. Set TMPDIR to a folder that is."
        ) from error


def _check_utf8(path: Path) -> None:
    """Check that a path is valid UTF-8, which the libraries and the records of a run require.

    Raises:
      ConfigError: If it is not.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise ConfigError(
            f"The path {shown} is not valid UTF-8. Rename it, or set a UTF-8 locale such as "
            "LC_ALL=C.UTF-8 if the name has other than ASCII characters."
        ) from None
