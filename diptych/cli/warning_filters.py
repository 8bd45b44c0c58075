"""Warnings of dependencies."""

import os
import sys
import warnings
from typing import Any, cast

_VARIABLE = "PYTHONWARNINGS"


def show_warnings_as_warnings() -> None:
    """Undo ``PYTHONWARNINGS=error`` and ``-W error``: importing TFX alone would fail.

    Applies to this process and to those that it starts. All other filters of the user remain.
    """
    if not any(_is_error(option) for option in sys.warnoptions):
        return
    kept = [option for option in sys.warnoptions if not _is_error(option)]
    sys.warnoptions[:] = kept  # which multiprocessing passes on
    os.environ[_VARIABLE] = ",".join(kept)
    filters = cast(list[Any], warnings.filters)
    filters[:] = [each for each in filters if each[0] != "error"]
    warnings.simplefilter("default", append=True)  # also discards what was cached for the filters


def _is_error(option: str) -> bool:
    """Return whether an option has the action ``error``, which may be abbreviated."""
    action = option.partition(":")[0].strip()
    return bool(action) and "error".startswith(action)
