"""Python modules for Ray workers on other machines, so that they run the driver's code."""

import importlib.util
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diptych.schemas.config.model import CustomEncoder, ModelConfig

_PACKAGES = ("diptych", "diptych.components", "diptych.schemas")
_INSTALL_SCHEMES = ("stdlib", "purelib", "platlib")


@contextmanager
def build_py_modules(model: ModelConfig) -> Iterator[list[str]]:
    """Yield folders and files for ``py_modules`` in Ray's runtime environment.

    They contain this package, imported from a wheel or a checkout, and the module or package of a
    custom encoder. Installed packages are not included. Ray uploads the files while it connects, so
    they are deleted afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="diptych-", ignore_cleanup_errors=True) as folder:
        for name in _PACKAGES:
            shutil.copytree(
                _module_path(name) or "",
                Path(folder, *name.split(".")),
                ignore=shutil.ignore_patterns("__pycache__"),
                dirs_exist_ok=True,
            )
        custom = _custom_encoder_path(model)
        yield [f"{folder}/diptych", *([str(custom)] if custom else [])]


def _custom_encoder_path(model: ModelConfig) -> Path | None:
    if not isinstance(model.encoder, CustomEncoder):
        return None
    path = _module_path(model.encoder.name.partition(":")[0].partition(".")[0])
    installed = [Path(sysconfig.get_path(scheme)) for scheme in _INSTALL_SCHEMES]
    if path is None or any(path.is_relative_to(folder) for folder in installed):
        return None
    return path


def _module_path(module: str) -> Path | None:
    """Return the folder of a package or the file of a module, or None if it has neither."""
    spec = importlib.util.find_spec(module)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.has_location and spec.origin else None
