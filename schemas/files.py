"""Write files and folders atomically, remove partial results, and open only regular files."""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from diptych.schemas.cleanup import cleanup

PARTIAL_SUFFIX = ".part"  # of files that are still being written
_MAX_NAME_BYTES = 200  # file systems allow 255; temporary names are longer than the final ones


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to ``path`` on success.

    Workers that execute the same task each write their own temporary file, and the last rename
    wins. On an exception, the temporary file is deleted. A killed process may leave one behind; its
    name ends with ``PARTIAL_SUFFIX``.
    """
    unique = f".{os.getpid()}-{os.urandom(4).hex()}{PARTIAL_SUFFIX}"
    tmp_path = path.with_name(_shorten(path.name) + unique)
    with cleanup(lambda: tmp_path.unlink(missing_ok=True)):
        yield tmp_path
        tmp_path.replace(path)


def open_regular_file(path: Path, flags: int) -> int:
    """Open a file, and return its descriptor; a pipe or a device is an error instead of a wait.

    Args:
      path: Path of the file.
      flags: Flags of ``os.open``.

    Raises:
      OSError: If the path cannot be opened or is not a regular file.
    """
    # Without O_NONBLOCK, opening a pipe waits for the other end. Regular files ignore the flag.
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def read_regular_file(path: Path, max_bytes: int) -> bytes:
    """Read at most ``max_bytes`` of a file; raises as ``open_regular_file``."""
    with open(open_regular_file(path, os.O_RDONLY), "rb") as file:
        return file.read(max_bytes)


def empty_folder(path: Path) -> None:
    """Delete what a folder contains, as far as possible; the folder itself remains."""
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder in the same parent; rename it to ``path`` on success.

    ``path`` must not exist. On an exception, the temporary folder is deleted. A killed process may
    leave one behind; its name starts with a dot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp_path = Path(tempfile.mkdtemp(prefix=f".{_shorten(path.name)}-", dir=path.parent))
    try:
        yield tmp_path
        tmp_path.chmod(0o755)
        tmp_path.rename(path)
    finally:
        shutil.rmtree(tmp_path, ignore_errors=True)


def _shorten(name: str) -> str:
    """Cut a file name, so that a temporary name that begins with it is not too long."""
    return os.fsencode(name)[:_MAX_NAME_BYTES].decode(errors="ignore")
