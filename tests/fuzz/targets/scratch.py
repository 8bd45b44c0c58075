"""Folders for the files of the inputs."""

import atexit
import contextlib
import itertools
import shutil
import tempfile
from pathlib import Path

_ROOT = Path(tempfile.mkdtemp(prefix="diptych-fuzz-"))
_numbers = itertools.count()
atexit.register(shutil.rmtree, _ROOT, ignore_errors=True)


def new_folder():
    """Create a folder that lasts until the end of the process."""
    folder = _ROOT / str(next(_numbers))
    folder.mkdir()
    return folder


@contextlib.contextmanager
def folder_of_input():
    """Yield an empty folder with a new name: readers remember files by name, size and time."""
    folder = new_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def check_message(text):
    """Check the text of a refusal: one that can be printed and sent."""
    assert text.strip() and "Traceback" not in text, text
    text.encode()
