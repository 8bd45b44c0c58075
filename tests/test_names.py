"""One name for one thing: no two functions or classes of the package share a name."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("diptych", "pipeline", "components", "schemas")
# Names that several modules must have, and why.
ALLOWED = {
    "main": "the entry point of a program",
}


def definitions():
    """Modules that define each public function or class at module level."""
    found = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    found[node.name].append(str(path.relative_to(ROOT)))
    return found


def test_no_two_public_functions_or_classes_share_a_name():
    shared = {
        name: paths
        for name, paths in definitions().items()
        if len(paths) > 1 and not name.startswith("_") and name not in ALLOWED
    }
    assert not shared


def test_no_name_is_allowed_that_is_not_shared():
    found = definitions()
    assert [name for name in ALLOWED if len(found[name]) < 2] == []
