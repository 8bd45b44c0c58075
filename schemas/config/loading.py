"""Read a configuration file, apply overrides and explain what does not fit."""

from pathlib import Path
from typing import Any

import pydantic
import yaml

from diptych.schemas.config.config import Config
from diptych.schemas.config.train import WARM_START_PUSHED
from diptych.schemas.errors import ConfigError


def load_config(path: Path, settings: tuple[str, ...] = ()) -> Config:
    """Reads a configuration file and lays ``settings`` over it.

    Relative paths in the file are taken from the folder of the file, so that a scheduled run
    does not depend on where it is started; those in ``settings`` from the working directory.

    Args:
      path: a YAML file.
      settings: ``key.path=value`` each; the value is read as YAML.

    Raises:
      ConfigError: the file or a setting cannot be read, or a value does not fit.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise ConfigError(f"Cannot read the configuration {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {_one_line(error)}") from error
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} must hold keys such as name and data, got {type(tree).__name__}."
        )
    _make_paths_absolute(tree, path.parent)
    overlay: dict[str, Any] = {}
    for setting in settings:
        _apply(overlay, setting)
    _make_paths_absolute(overlay, Path.cwd())
    _merge(tree, overlay)
    return checked_config(tree, str(path))


def checked_config(tree: dict[str, Any], source: str) -> Config:
    """The configuration that a tree of keys describes.

    Raises:
      ConfigError: a value does not fit; it names the source of the tree.
    """
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{source}: {_explain(error)}") from error


class _Loader(yaml.SafeLoader):
    """Reads ``ratio: 1:3`` as written; to YAML 1.1 it is 63, a number to the base of 60."""


def _number(loader: _Loader, node: yaml.ScalarNode) -> Any:
    tag = node.tag.rpartition(":")[2]
    return node.value if ":" in node.value else getattr(loader, f"construct_yaml_{tag}")(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)

_PATHS = (
    ("data", "path"),
    ("validation", "schema_file"),
    ("model", "encoder", "weights"),
    ("train", "warm_start"),
    ("push", "path"),
)


def _make_paths_absolute(tree: dict[str, Any], folder: Path) -> None:
    for *sections, key in _PATHS:
        part: Any = tree
        for section in sections:
            part = part.get(section) if isinstance(part, dict) else None
        value = part.get(key) if isinstance(part, dict) else None
        if isinstance(value, str) and "://" not in value and value != WARM_START_PUSHED:
            # Not resolve(): a symbolic link in the path is the user's way to name the data.
            part[key] = str((folder / Path(value).expanduser()).absolute())


def _apply(tree: dict[str, Any], setting: str) -> None:
    keys, equals, text = setting.partition("=")
    if not equals or not all(keys.split(".")):
        raise ConfigError(f"--set needs key.path=value, got {setting!r}.")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {keys}: {text!r} is not a value: {_one_line(error)}") from error
    *parents, last = keys.split(".")
    for key in parents:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {keys}: {key} is a value already, not a section.")
    tree[last] = value


def _merge(tree: dict[str, Any], overlay: dict[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


_UNIONS = (["data"], ["model", "encoder"], ["model", "loss"], ["train", "calibrate_for"])


def _explain(error: pydantic.ValidationError) -> str:
    lines = []
    for problem in error.errors():
        # The union's tag stands in the path after its key; the user never wrote it.
        where = [str(part) for part in problem["loc"]]
        for union in _UNIONS:
            if len(where) > len(union) and where[: len(union)] == union:
                del where[len(union)]
        message = problem["msg"].removeprefix("Value error, ")
        # A section is too long to show; a part that is only named is not.
        section = isinstance(problem["input"], dict) and set(problem["input"]) != {"name"}
        got = "" if section else f", got {problem['input']!r}"
        lines.append(f"{'.'.join(where) or 'the whole'}: {message}{got}")
    return "; ".join(lines) + "."
