"""Plain names for folders whose names TensorFlow reads as patterns."""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

_WILDCARDS = re.compile(r"[*?\[\\]")
_FALLBACK = "/tmp"


def has_wildcards(path: Path) -> bool:
    """Return whether TensorFlow reads the path as a pattern."""
    return _WILDCARDS.search(str(path)) is not None


@contextlib.contextmanager
def plain_path(folder: Path) -> Iterator[Path]:
    """Yield a path of the folder that has no wildcards: itself, or a temporary link to it.

    TensorFlow finds the variables of a SavedModel by a pattern that contains the path of the model,
    and has no escape for it.

    Args:
      folder: An existing folder.
    """
    if not has_wildcards(folder):
        yield folder
        return
    parent = Path(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(
        prefix="diptych-",
        dir=_FALLBACK if has_wildcards(parent) else parent,
        ignore_cleanup_errors=True,
    ) as temporary:
        link = Path(temporary, "folder")
        link.symlink_to(folder.absolute())
        yield link
