"""The code that workers on other machines run: sent along, so that it is that of the driver."""

import importlib.util
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diptych.schemas.config.model import Model, OwnEncoder

_PACKAGES = ("diptych", "diptych.components", "diptych.schemas")
_INSTALLED = ("stdlib", "purelib", "platlib")


@contextmanager
def shipment(model: Model) -> Iterator[list[str]]:
    """Folders and files for Ray's ``py_modules``; Ray has read them when it is connected.

    They are this package, from wherever it is imported (a wheel or a checkout), and the module or
    the package of the user's own encoder. What is installed beside Diptych is not sent.
    """
    with tempfile.TemporaryDirectory(prefix="diptych-") as folder:
        for name in _PACKAGES:
            shutil.copytree(
                _lies_at(name) or "",
                Path(folder, *name.split(".")),
                ignore=shutil.ignore_patterns("__pycache__"),
                dirs_exist_ok=True,
            )
        own = _own_module(model)
        yield [f"{folder}/diptych", *([str(own)] if own else [])]


def _own_module(model: Model) -> Path | None:
    if not isinstance(model.encoder, OwnEncoder):
        return None
    place = _lies_at(model.encoder.name.partition(":")[0].partition(".")[0])
    installed = [Path(sysconfig.get_path(name)) for name in _INSTALLED]
    if place is None or any(place.is_relative_to(folder) for folder in installed):
        return None
    return place


def _lies_at(module: str) -> Path | None:
    """Folder of a package, or file of a module; None if there is no such file."""
    spec = importlib.util.find_spec(module)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.has_location and spec.origin else None
