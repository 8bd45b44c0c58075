"""Read a configuration file, apply overrides and explain invalid values."""

import difflib
import functools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic
import yaml

from diptych.schemas.config.config import Config
from diptych.schemas.config.train import PUSHED_MODEL
from diptych.schemas.errors import ConfigError
from diptych.schemas.short_text import short_repr, shorten
from diptych.schemas.yaml_text import MAX_YAML_LENGTH, parse_yaml

RENAMED_KEYS = {
    "evaluate.bars": "evaluate.requirements",
    "evaluate.max_drop": "evaluate.max_accuracy_drop",
    "pairs.policy": "pairs.sampling",
    "pairs.evaluation_policy": "pairs.evaluation_sampling",
    "pairs.difficulty": "pairs.negatives",
    "pairs.difficulty: confusable": "pairs.negatives: similar_classes",
    "pairs.negatives: confusable": "pairs.negatives: similar_classes",
    "train.augmentation.of": "train.augmentation.apply_to",
    "train.calibrate_for": "train.threshold_criterion",
}
"""Names of previous versions and their replacements: keys, and ``key: value`` for values."""


CHECK = "CHECK:"
"""Start of a comment on an uncertain guess of ``diptych init``, which the user must decide."""

_MAX_SECTIONS = 20  # in each other; a key of the configuration has 4 at most
_CHECK_LINE = re.compile(r"\s*#\s*CHECK\b")
_CONTINUED_LINE = re.compile(r"\s*#\s{2,}\S")


def load_config(path: Path, settings: tuple[str, ...] = ()) -> Config:
    """Read a configuration file and override values with ``settings``.

    Relative paths in the file start at the folder of the file, so that a scheduled run does not
    depend on the working directory. Relative paths in ``settings`` start at the working directory.

    Args:
      path: A YAML file.
      settings: ``key.path=value`` each; the value is parsed as YAML.

    Raises:
      ConfigError: If the file or a setting cannot be read, a key or value is invalid, or the file
        still has comments that start with CHECK.
    """
    try:
        text = _read_text(path)
        tree = parse_yaml(text, _ConfigLoader)
    except OSError as error:
        raise ConfigError(f"Cannot read the configuration {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {_one_line(error)}") from error
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} must contain keys such as name and data, got {type(tree).__name__}."
        )
    _require_no_check_lines(text, path)
    _make_paths_absolute(tree, path.parent)
    overrides: dict[str, Any] = {}
    for setting in settings:
        single: dict[str, Any] = {}
        _apply_setting(single, setting)
        _check_renamed(single, f"--set {shorten(setting)}")
        _apply_setting(overrides, setting)
    _make_paths_absolute(overrides, Path.cwd())
    _check_renamed(tree, str(path))
    _merge(tree, overrides)
    return checked_config(tree, str(path))


def _read_text(path: Path) -> str:
    with path.open("rb") as file:  # at most one byte too many, which parse_yaml then rejects
        return file.read(4 * (MAX_YAML_LENGTH + 1)).decode()


def _require_no_check_lines(text: str, path: Path) -> None:
    """Raise a ConfigError if guesses of ``diptych init`` are undecided."""
    notes: list[str] = []
    is_note = False
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip().lstrip("# ")
        if _CHECK_LINE.match(line):
            notes.append(f"\n  line {number}: {content}")
            is_note = True
        elif is_note and _CONTINUED_LINE.match(line):
            notes[-1] += f" {content}"
        else:
            is_note = False
    if notes:
        raise ConfigError(
            f"{path} has guesses of diptych init that are not decided yet:{''.join(notes)}\n"
            "For each, correct the keys below it if the guess is wrong, and delete its lines."
        )


def checked_config(tree: dict[str, Any], source: str) -> Config:
    """Validate a tree of keys and return the configuration.

    Args:
      tree: Keys and values, as parsed from YAML.
      source: Origin of the tree, for error messages.

    Raises:
      ConfigError: If a key or value is invalid.
    """
    _check_renamed(tree, source)
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{source}: {_explain(error)}") from error


class _ConfigLoader(yaml.SafeLoader):
    """Load ``ratio: 1:3`` as text, in YAML 1.1 a sexagesimal number; and reject duplicate keys.

    A character that JSON escapes as a surrogate pair, as ``json.dumps`` does, is one character.
    """

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if isinstance(value, str) and "\0" in value:  # no path, column or name can have one
            raise yaml.constructor.ConstructorError(
                None, None, f"{short_repr(value)} has a null character", node.start_mark
            )
        if not isinstance(value, str) or value.isascii():
            return value
        try:
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise yaml.constructor.ConstructorError(
                None, None, f"{short_repr(value)} is not valid Unicode", node.start_mark
            ) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {short_repr(key.value)} occurs twice", key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else key)
        return super().construct_mapping(node, deep)


def _construct_number(loader: _ConfigLoader, node: yaml.ScalarNode) -> Any:
    tag = node.tag.rpartition(":")[2]
    return node.value if ":" in node.value else getattr(loader, f"construct_yaml_{tag}")(node)


_ConfigLoader.add_constructor("tag:yaml.org,2002:int", _construct_number)
_ConfigLoader.add_constructor("tag:yaml.org,2002:float", _construct_number)

_PATH_KEYS = (
    ("data", "path"),
    ("data", "corrections"),
    ("data", "follow_links"),
    ("data", "table"),
    ("data", "images"),
    ("validation", "schema_file"),
    ("model", "encoder", "weights"),
    ("train", "warm_start"),
    ("evaluate", "pairs"),
    ("push", "path"),
)


def _make_paths_absolute(tree: dict[str, Any], folder: Path) -> None:
    for *sections, key in _PATH_KEYS:
        part: Any = tree
        for section in sections:
            part = part.get(section) if isinstance(part, dict) else None
        value = part.get(key) if isinstance(part, dict) else None
        if isinstance(value, str) and "://" not in value and value != PUSHED_MODEL:
            # Not resolve(): a symbolic link in the path is the user's way to name the data.
            part[key] = str((folder / _expand_user(value, folder)).absolute())


def _expand_user(value: str, folder: Path) -> Path:
    """Expand ~ and ~USER, unless a file has this name or the user is unknown."""
    path = Path(value)
    if os.path.lexists(folder / path):
        return path
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _apply_setting(tree: dict[str, Any], setting: str) -> None:
    keys, equals, text = setting.partition("=")
    *parents, last = keys.split(".")
    if not equals or not all((*parents, last)) or len(parents) > _MAX_SECTIONS:
        raise ConfigError(f"--set expects key.path=value, got {short_repr(setting)}.")
    try:
        value = parse_yaml(text, _ConfigLoader)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"--set {shorten(keys)}: {short_repr(text)} is not a valid YAML value: "
            f"{_one_line(error)}"
        ) from error
    for key in parents:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(
                f"--set {shorten(keys)}: {key} already has a value, so it is not a section."
            )
    tree[last] = value


def _merge(tree: dict[str, Any], overrides: dict[str, Any]) -> None:
    for key, value in overrides.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _check_renamed(tree: dict[str, Any], source: str) -> None:
    """Raise a ConfigError if the tree contains keys or values of previous versions."""
    renamed = []
    for key, value in _flatten(tree):
        for old in (f"{key}: {value}", key):
            if old in RENAMED_KEYS:
                renamed.append(f"{old} was renamed to {RENAMED_KEYS[old]}")
                break
    if renamed:
        raise ConfigError(f"{source}: {'; '.join(dict.fromkeys(renamed))}.")


def _flatten(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of all levels, and the keys and choices of ``tune.space``."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        yield name, value
        if not isinstance(value, dict):
            continue
        if name != "tune.space":
            yield from _flatten(value, f"{name}.")
            continue
        for varied, domain in value.items():
            yield str(varied), None
            choices = domain.get("choice") if isinstance(domain, dict) else None
            for choice in choices if isinstance(choices, list) else ():
                yield str(varied), choice


def _one_line(error: Exception) -> str:
    return shorten(" ".join(str(error).split()), 1000)


_MAX_PROBLEMS = 20
_UNIONS = (["data"], ["model", "encoder"], ["model", "loss"], ["train", "threshold_criterion"])


def _explain(error: pydantic.ValidationError) -> str:
    problems = []
    all_problems = error.errors()
    for problem in all_problems[:_MAX_PROBLEMS]:
        # pydantic adds the tag of a union to the location, but the file does not contain it.
        location = [shorten(str(part)) for part in problem["loc"]]
        for union in _UNIONS:
            if len(location) > len(union) and location[: len(union)] == union:
                del location[len(union)]
        message = _describe(problem, location)
        # A section is too long to show; the short form of an encoder or a loss is not.
        is_section = isinstance(problem["input"], dict) and set(problem["input"]) != {"name"}
        got = (
            ""
            if is_section or problem["type"] == "missing"
            else f", got {short_repr(problem['input'])}"
        )
        name = ".".join(location) or "configuration"
        problems.append(f"{name}: {message}{got}")
    num_more = len(all_problems) - len(problems)
    return "; ".join(problems) + (f"; and {num_more:,} more" if num_more else "") + "."


def _describe(problem: Mapping[str, Any], location: list[str]) -> str:
    """Describe a problem in the terms of a YAML file instead of those of Python."""
    match problem["type"]:
        case "extra_forbidden":
            tag = str(problem["loc"][-2]) if len(location) < len(problem["loc"]) else ""
            return f"unknown key{_suggest_key('.'.join(location), tag)}"
        case "missing":
            return "this key is required"
        case "union_tag_not_found":
            return f"the key {problem['ctx']['discriminator']} is required"
        case "union_tag_invalid":
            context = problem["ctx"]
            key = context["discriminator"].strip("'")
            return f"expected {key} to be one of {context['expected_tags']}"
        case "model_type" | "dict_type" | "model_attributes_type":
            return "expected a section of keys and values"
        case "tuple_type" | "list_type":
            return "expected a list"
        case "string_pattern_mismatch" if location == ["name"]:
            return "expected at most 63 lower-case letters, digits, - and _"
        case "string_pattern_mismatch" if location == ["nightly", "schedule"]:
            return "expected a cron expression of five fields, such as 0 2 * * *"
    message: str = problem["msg"].removeprefix("Value error, ")
    return message.replace("Input should be", "expected", 1)


def _suggest_key(unknown: str, tag: str) -> str:
    """Suggest similar keys of the same section, or keys of the same name in other sections."""
    keys = _known_keys()
    if unknown in keys:  # of another kind of data, or of another loss
        return f" for {tag}" if tag else ""
    section, _, name = unknown.rpartition(".")
    siblings = [key.rpartition(".")[2] for key in keys if key.rpartition(".")[0] == section]
    prefix = f"{section}." if section else ""
    similar = [prefix + key for key in difflib.get_close_matches(name, siblings, 1)] or [
        key for key in keys if key.rpartition(".")[2] == name
    ]
    return f" (did you mean {' or '.join(similar[:3])}?)" if similar else ""


@functools.cache  # building the schema takes 50 ms, and a file may have many unknown keys
def _known_keys() -> tuple[str, ...]:
    """Return the dotted keys of all levels, including those of all variants of a section."""
    schema = Config.model_json_schema()

    def walk(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        for key, value in node.get("properties", {}).items():
            yield prefix + key
            yield from walk(value, f"{prefix}{key}.")
        for variant in (*node.get("anyOf", ()), *node.get("oneOf", ())):
            yield from walk(variant, prefix)

    return tuple(dict.fromkeys(walk(schema, "")))
