"""Imports flow one way, and what people type or import starts quickly."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Where each package of Diptych lies in the repository.
FOLDERS = {
    "diptych.cli": "diptych/cli",
    "diptych.serving": "diptych/serving",
    "diptych.inference": "diptych/inference",
    "diptych.pipeline": "pipeline",
    "diptych.components": "components",
    "diptych.schemas": "schemas",
}
BARE = ("pipeline", "components", "schemas")  # the same folders under a second name
# What each may import besides itself; a step may import itself, ``common`` and the schemas.
MAY_IMPORT = {
    "diptych.cli": ("diptych",),
    "diptych.pipeline": ("diptych.components", "diptych.schemas"),
    "diptych.serving": ("diptych.inference", "diptych.components.common", "diptych.schemas"),
    "diptych.inference": ("diptych.components.common", "diptych.schemas"),
    "diptych.components": ("diptych.components.common", "diptych.schemas"),
    "diptych.schemas": (),
}
SLOW = {"apache_beam", "keras", "ml_metadata", "pandas", "ray", "sklearn", "tensorflow", "tfx"}


def module_name(package: str, path: Path) -> str:
    inside = path.relative_to(ROOT / FOLDERS[package]).with_suffix("").parts
    return ".".join((package, *inside)).removesuffix(".__init__")


ALL = {
    module_name(package, path): path
    for package, folder in FOLDERS.items()
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def imports(source: str, package: str) -> Iterator[str]:
    """Every module that the source imports, wherever in the file, under its full name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, node.module] if node.module else above)
            origin = base if node.level else node.module or ""
            # ``from diptych import schemas`` is an import of diptych.schemas
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imports_of(name: str) -> list[str]:
    path = ALL[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return list(imports(path.read_text(encoding="utf-8"), package))


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def unit_of(module: str) -> str:
    """The package within which imports are free; each step of ``components`` is one."""
    depth = 3 if is_in(module, "diptych.components") else 2
    return ".".join(module.split(".")[:depth])


def may_import(importer: str, imported: str) -> bool:
    if not is_in(imported, "diptych"):
        return not any(is_in(imported, folder) for folder in BARE)  # a second copy of ours
    package = ".".join(importer.split(".")[:2])
    allowed = (unit_of(importer), *MAY_IMPORT[package])
    return any(is_in(imported, one) for one in allowed)


@pytest.mark.parametrize("name", ALL)
def test_imports_flow_one_way(name):
    forbidden = [module for module in imports_of(name) if not may_import(name, module)]
    assert not forbidden, (
        f"{name} imports {forbidden}. What two steps share is a type in diptych.schemas."
    )


@pytest.mark.parametrize(
    ("importer", "source", "allowed"),
    [
        ("diptych.schemas.config", "import diptych.schemas.errors", True),
        ("diptych.schemas.config", "from diptych.components import pusher", False),
        ("diptych.schemas.config", "from diptych import components", False),
        ("diptych.schemas.config", "from ..components import pusher", False),
        ("diptych.components.trainer.loop", "from diptych.schemas import shards", True),
        ("diptych.components.trainer.loop", "from diptych.components.trainer import log", True),
        ("diptych.components.trainer.loop", "from . import log", True),
        ("diptych.components.trainer.loop", "from ..evaluator import metrics", False),
        (
            "diptych.components.trainer.loop",
            "def f():\n  import diptych.components.pusher",
            False,
        ),
        ("diptych.components.pusher.component", "from diptych.components.pusher_x import y", False),
        ("diptych.components.pusher.component", "from diptych.pipeline import graph", False),
        ("diptych.pipeline.graph", "from diptych.components import pusher", True),
        ("diptych.pipeline.graph", "from components import pusher", False),
        ("diptych.pipeline.graph", "import schemas.config", False),
        ("diptych.pipeline.graph", "import numpy as np", True),
        ("diptych.pipeline.run", "from diptych.cli import console", False),
        ("diptych.components.common.images", "from diptych.components import trainer", False),
        ("diptych.inference.gallery", "from diptych.pipeline import graph", False),
        ("diptych.inference.gallery", "from diptych.components.common import images", True),
        ("diptych.serving.routes", "from diptych.inference import gallery", True),
        ("diptych.serving.routes", "from diptych.components import trainer", False),
        ("diptych.cli.main", "from diptych.serving import service", True),
    ],
)
def test_rule_is_that_of_the_design(importer, source, allowed):
    found = list(imports(source, importer.rpartition(".")[0]))
    assert all(may_import(importer, module) for module in found) is allowed


def test_help_loads_no_slow_package():
    program = Path(sys.executable).parent / "diptych"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", program, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Usage" in done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "diptych" in loaded
    assert not loaded & SLOW
