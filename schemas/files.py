"""Write files and folders atomically: complete, or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PARTIAL_SUFFIX = ".part"  # of files that are still being written


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to ``path`` on success.

    Workers that execute the same task each write their own temporary file, and the last rename
    wins. On an exception, the temporary file is deleted. A killed process may leave one behind; its
    name ends with ``PARTIAL_SUFFIX``.
    """
    tmp_path = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}{PARTIAL_SUFFIX}")
    try:
        yield tmp_path
        tmp_path.replace(path)
    finally:
        tmp_path.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder in the same parent; rename it to ``path`` on success.

    ``path`` must not exist. On an exception, the temporary folder is deleted. A killed process may
    leave one behind; its name starts with a dot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp_path = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield tmp_path
        tmp_path.chmod(0o755)
        tmp_path.rename(path)
    finally:
        shutil.rmtree(tmp_path, ignore_errors=True)
