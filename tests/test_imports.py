"""Imports flow one way, and the program and the package start quickly."""

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Folder of each package in the repository.
FOLDERS = {
    "diptych.api": "diptych/api.py",
    "diptych.cli": "diptych/cli",
    "diptych.serving": "diptych/serving",
    "diptych.inference": "diptych/inference",
    "diptych.pipeline": "pipeline",
    "diptych.components": "components",
    "diptych.schemas": "schemas",
}
BARE = ("pipeline", "components", "schemas")  # the same folders under a second name
# Imports that each package may have in addition to its own modules. A step may import itself,
# ``common`` and the schemas.
MAY_IMPORT = {
    "diptych.api": ("diptych.pipeline", "diptych.inference", "diptych.schemas"),
    "diptych.cli": ("diptych",),
    "diptych.pipeline": ("diptych.components", "diptych.schemas"),
    "diptych.serving": ("diptych.inference", "diptych.components.common", "diptych.schemas"),
    "diptych.inference": ("diptych.components.common", "diptych.schemas"),
    "diptych.components": ("diptych.components.common", "diptych.schemas"),
    "diptych.schemas": (),
}
CONSOLE = {"click", "rich"}  # for the command line only
SLOW = {"apache_beam", "keras", "ml_metadata", "pandas", "ray", "sklearn", "tensorflow", "tfx"}


def module_name(package: str, path: Path) -> str:
    if path.is_file() and path == ROOT / FOLDERS[package]:
        return package
    inside = path.relative_to(ROOT / FOLDERS[package]).with_suffix("").parts
    return ".".join((package, *inside)).removesuffix(".__init__")


def modules_in(folder: Path) -> list[Path]:
    return [folder] if folder.suffix == ".py" else sorted(folder.rglob("*.py"))


ALL = {
    module_name(package, path): path
    for package, folder in FOLDERS.items()
    for path in modules_in(ROOT / folder)
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
    package = ".".join(importer.split(".")[:2])
    if not is_in(imported, "diptych"):
        if imported.partition(".")[0] in CONSOLE and package != "diptych.cli":
            return False
        return not any(is_in(imported, folder) for folder in BARE)  # a second copy of ours
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
        ("diptych.cli.main", "import click", True),
        ("diptych.pipeline.session", "import click", False),
        ("diptych.pipeline.session", "from rich.console import Console", False),
        ("diptych.api", "from diptych.pipeline.run import run_pipeline", True),
        ("diptych.api", "from diptych.cli import main", False),
    ],
)
def test_rule_is_that_of_the_design(importer, source, allowed):
    found = list(imports(source, importer.rpartition(".")[0]))
    assert all(may_import(importer, module) for module in found) is allowed


def loaded_packages(*arguments: str | Path) -> set[str]:
    """Top-level packages that a Python process imports."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    lines = [line for line in result.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "diptych" in loaded
    return loaded


def test_help_loads_no_slow_package():
    program = Path(sys.executable).parent / "diptych"
    assert not loaded_packages(program, "--help") & SLOW


def test_help_takes_less_than_half_a_second():
    program = Path(sys.executable).parent / "diptych"
    seconds = []
    for _ in range(3):  # the first call may compile, and the machine may be busy
        started = os.times()
        wall = time.perf_counter()
        result = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
        ended = os.times()
        cpu = ended.children_user + ended.children_system
        cpu -= started.children_user + started.children_system
        seconds.append(min(cpu, time.perf_counter() - wall))
        assert result.stdout.startswith("Usage: ")
    assert min(seconds) < 0.5


@pytest.mark.parametrize(
    "statement",
    [
        "import diptych",
        "import diptych; diptych.run, diptych.load_model, diptych.read_pairs, diptych.DataError",
    ],
)
def test_importing_the_package_loads_no_slow_package(statement):
    assert not loaded_packages("-c", statement) & SLOW
