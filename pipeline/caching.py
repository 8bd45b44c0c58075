"""Digests of the code that a step's output depends on, so that a change of code is no cache hit."""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from diptych.schemas.config.config import Config
from diptych.schemas.config.model import Encoder, OwnEncoder
from diptych.schemas.errors import ConfigError

_FOLDERS = Path(__file__).resolve().parents[1]  # components, pipeline and schemas lie here
_GRAPH = "pipeline.graph"  # the engines, the runners and the workspace change no result
_STEPS = ("components.", "schemas.")


def code_of(step: str) -> str:
    """Digest of a step's module and of every module of Diptych that it imports, directly or not.

    The digest is of the syntax tree without docstrings, comments and the descriptions of
    configuration keys: a change of documentation re-runs nothing.

    Args:
      step: Name of the step's package in ``components``, such as ``pair_gen``.
    """
    return _digest(f"diptych.components.{step}.component")


def code_of_trainer(config: Config) -> str:
    """Digest of all code that the training depends on.

    Raises:
      ConfigError: The module of the custom encoder is missing.
    """
    return code_of("trainer") + _code_of_custom_encoder(config.model.encoder)


def code_of_pipeline(config: Config) -> str:
    """Digest of the code of all steps, and of the graph that connects them.

    Raises:
      ConfigError: The module of the custom encoder is missing.
    """
    return _digest(f"diptych.{_GRAPH}") + _code_of_custom_encoder(config.model.encoder)


def _digest(module: str) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(_imported_modules(module)):
        digest.update(f"{name}\n{_parsed(name)[0]}\n".encode())
    return digest.hexdigest()


def _imported_modules(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _parsed(name)[1]
    return found


@functools.cache
def _parsed(module: str) -> tuple[str, tuple[str, ...]]:
    """The code of a module without its documentation, and the modules of Diptych it imports."""
    path = _file_of(module)
    if path is None:
        raise ValueError(f"There is no module {module} in Diptych.")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = tuple(name for name in _imports(tree) if name != module)
    return ast.dump(_WithoutDocumentation().visit(tree)), imports


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # ``from diptych.components import images`` imports a module, or a name of one
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if _file_of(name) is not None)


def _file_of(module: str) -> Path | None:
    """The file of one of Diptych's modules that can change a result; None for all others."""
    package, _, path = module.partition(".")
    if package != "diptych" or not (path == _GRAPH or path.startswith(_STEPS)):
        return None
    stem = _FOLDERS.joinpath(*path.split("."))
    files = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((file for file in files if file.is_file()), None)


class _WithoutDocumentation(ast.NodeTransformer):
    """Drops docstrings and the keyword ``description``, which documents a configuration key."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Strings that stand alone are docstrings."""
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Calls of pydantic's Field."""
        node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
        return self.generic_visit(node)


def _code_of_custom_encoder(encoder: Encoder | None) -> str:
    """Digest of the module that a custom encoder is in; empty for the built-in encoders."""
    if not isinstance(encoder, OwnEncoder):
        return ""
    name = encoder.name.partition(":")[0]
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a parent package is missing, or the name is no name
        found = None
    if found is None or found.origin is None:
        raise ConfigError(
            f"model.encoder {encoder.name}: there is no module {name}. It must be importable from "
            "the folder where diptych runs, or installed."
        )
    origin = Path(found.origin)
    content = origin.read_bytes() if origin.is_file() else b""
    return "-" + hashlib.blake2b(content, digest_size=8).hexdigest()
