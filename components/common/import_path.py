"""Modules are not imported from the working directory, except the one that contains the encoder.

A file ``tensorflow.py`` in a folder of data would otherwise replace the library, and run.
"""

import contextlib
import importlib.machinery
import os
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

_SAFE_PATH_VARIABLE = "PYTHONSAFEPATH"
_ENCODER_FOLDER_VARIABLE = "DIPTYCH_ENCODER_FOLDER"


@contextlib.contextmanager
def safe_import_path() -> Iterator[None]:
    """Keep the working directory out of the import path of processes started in the context.

    ``python -m``, with which Beam starts its workers, and ``python -c`` put it first by default.
    """
    previous = os.environ.get(_SAFE_PATH_VARIABLE)
    os.environ[_SAFE_PATH_VARIABLE] = "1"
    try:
        yield
    finally:
        if previous is None:
            os.environ.pop(_SAFE_PATH_VARIABLE, None)
        else:
            os.environ[_SAFE_PATH_VARIABLE] = previous


def isolated_job_config() -> Any:
    """Create a ``JobConfig`` for ``ray.init`` that leaves the import path of the workers alone.

    Ray puts the working directory and the folder of the script of the driver first in it, except
    for a job with a ``working_dir``, which has been uploaded.
    """
    from ray.job_config import JobConfig

    class IsolatedJobConfig(JobConfig):  # type: ignore[misc] # Ray has no types here
        def _runtime_env_has_working_dir(self) -> bool:
            return True

    return IsolatedJobConfig()


def import_encoder_from(folder: str, function: str) -> None:
    """Let this process import the module of an encoder from a folder, and nothing else from there.

    Processes that it starts know the folder as well; see ``prepare_encoder_import``.

    Args:
      folder: Absolute path.
      function: ``package.module:function``. The folder contains the package or the module.
    """
    os.environ[_ENCODER_FOLDER_VARIABLE] = folder
    prepare_encoder_import(function)


def prepare_encoder_import(function: str) -> None:
    """Let this process import the module of an encoder from the folder of ``import_encoder_from``.

    Args:
      function: ``package.module:function``.
    """
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _EncoderFinder)]
    folder = os.environ.get(_ENCODER_FOLDER_VARIABLE)
    if folder:
        module = function.partition(":")[0].partition(".")[0]
        sys.meta_path.insert(0, _EncoderFinder(module, folder))


class _EncoderFinder:
    """Finder of one top-level module in one folder; it comes before the installed packages."""

    def __init__(self, module: str, folder: str) -> None:
        self._module, self._folder = module, folder

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, [self._folder])
        if spec is not None and spec.origin is None:
            # A folder without __init__.py: as in Python, any module of this name comes before it.
            others = (each.find_spec(name, None) for each in sys.meta_path if each is not self)
            return next((other for other in others if other is not None), spec)
        return spec
