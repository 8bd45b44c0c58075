"""Digests of the code that the output of a step depends on: changed code is a cache miss."""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from diptych.schemas.config.config import Config
from diptych.schemas.config.model import CustomEncoder, Encoder
from diptych.schemas.errors import ConfigError

_TOP_FOLDER = Path(__file__).resolve().parents[1]  # contains components, pipeline, schemas
_GRAPH = "pipeline.graph"  # engines, runners and the workspace change no result
_STEP_PACKAGES = ("components.", "schemas.")


def code_of(step: str) -> str:
    """Compute the digest of a step's module and of all modules of Diptych that it imports.

    The digest covers the syntax tree without docstrings, comments and descriptions of
    configuration keys: a change of documentation re-runs nothing.

    Args:
      step: Name of the step's package in ``components``, such as ``pair_gen``.
    """
    return _module_digest(f"diptych.components.{step}.component")


def code_of_trainer(config: Config) -> str:
    """Compute the digest of all code that the training depends on.

    Raises:
      ConfigError: If the module of the custom encoder is missing.
    """
    return code_of("trainer") + _code_of_custom_encoder(config.model.encoder)


def code_of_pipeline(config: Config) -> str:
    """Compute the digest of the code of all steps, and of the graph that connects them.

    Raises:
      ConfigError: If the module of the custom encoder is missing.
    """
    return _module_digest(f"diptych.{_GRAPH}") + _code_of_custom_encoder(config.model.encoder)


def _module_digest(module: str) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(_imported_modules(module)):
        digest.update(f"{name}\n{_parse_module(name)[0]}\n".encode())
    return digest.hexdigest()


def _imported_modules(module: str) -> set[str]:
    """Find all modules of Diptych that a module imports, directly or indirectly, and itself."""
    visited: set[str] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        if name not in visited:
            visited.add(name)
            queue += _parse_module(name)[1]
    return visited


@functools.cache
def _parse_module(module: str) -> tuple[str, tuple[str, ...]]:
    """Return the code of a module without documentation, and the modules of Diptych it imports."""
    path = _find_file(module)
    if path is None:
        raise ValueError(f"Diptych has no module {module!r}.")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = tuple(name for name in _imports(tree) if name != module)
    return ast.dump(_DropDocumentation().visit(tree)), imports


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # ``from package import name`` imports a module or an attribute.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if _find_file(name) is not None)


def _find_file(module: str) -> Path | None:
    """Find the file of a module of Diptych that can change a result; None for all others."""
    package, _, path = module.partition(".")
    if package != "diptych" or not (path == _GRAPH or path.startswith(_STEP_PACKAGES)):
        return None
    stem = _TOP_FOLDER.joinpath(*path.split("."))
    files = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((file for file in files if file.is_file()), None)


class _DropDocumentation(ast.NodeTransformer):
    """Drop docstrings and the keyword ``description``, which documents a configuration key."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Drop docstrings."""
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Drop the description in calls of pydantic's ``Field``."""
        node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
        return self.generic_visit(node)


def _code_of_custom_encoder(encoder: Encoder | None) -> str:
    """Compute the digest of the module of a custom encoder; empty for a built-in encoder."""
    if not isinstance(encoder, CustomEncoder):
        return ""
    module = encoder.name.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # the parent package is missing, or the name is invalid
        spec = None
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"model.encoder {encoder.name}: the module {module} was not found. Install it, or run "
            "diptych in the folder that contains it."
        )
    origin = Path(spec.origin)
    content = origin.read_bytes() if origin.is_file() else b""
    return "-" + hashlib.blake2b(content, digest_size=8).hexdigest()
