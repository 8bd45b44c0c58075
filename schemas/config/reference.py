"""Render the reference of all configuration keys as Markdown.

``python -m diptych.schemas.config.reference > docs/configuration.md`` updates the page.
"""

import sys
from collections.abc import Iterator
from typing import Any

import yaml

from diptych.schemas.config.json_schema import config_schema
from diptych.schemas.config.loading import RENAMED_KEYS

_INTRODUCTION = """\
<!-- Generated from the models in schemas/config. Do not edit; change the descriptions there and run
     python -m diptych.schemas.config.reference > docs/configuration.md -->

# Configuration

A pipeline is configured by one YAML file. `diptych init --data FOLDER` writes one that fits the
data, with a comment for each key. Only `name` and `data` are required.

- Unknown keys and invalid values are errors that name the key, the value and what is expected.
- Relative paths start at the folder of the configuration file.
- `--set KEY=VALUE` overrides a value on the command line, such as `--set train.epochs=10`. The
  value is parsed as YAML, and relative paths in it start at the working directory.
- `diptych schema` prints the JSON Schema of the file. `diptych init` writes it to
  `diptych.schema.json` next to the configuration, so that editors complete and check the keys.
"""
_RENAMED = """\
## Renamed keys

Previous versions used other names. The old names are errors that state the new name.

| Old | New |
| --- | --- |
"""


def render_reference() -> str:
    """Return the text of ``docs/configuration.md``."""
    schema = config_schema()
    definitions = schema["$defs"]
    sections = schema["properties"]
    top_level = {key: value for key, value in sections.items() if "$ref" not in value}
    lines = [_INTRODUCTION]
    lines += _key_table(
        "",
        {key: value for key, value in top_level.items() if not _referenced_sections(value)},
        schema,
    )
    for key, section in sections.items():
        names = _referenced_sections(section)
        if not names:
            continue
        if len(names) == 1:
            lines += [
                "",
                *_section_reference(2, key, f"`{key}`", definitions[names[0]], definitions),
            ]
            continue
        lines += ["", f"## `{key}`", "", section["description"]]
        for name in names:
            title = _variant_title(key, definitions[name])
            lines += ["", *_section_reference(3, key, title, definitions[name], definitions)]
    lines += ["", _RENAMED.rstrip()]
    lines += [f"| `{old}` | `{new}` |" for old, new in sorted(RENAMED_KEYS.items())]
    return "\n".join(lines) + "\n"


def _section_reference(
    level: int, path: str, title: str, section: dict[str, Any], definitions: dict[str, Any]
) -> Iterator[str]:
    """Yield a heading, a description, a table, and the nested sections."""
    yield f"{'#' * level} {title}"
    yield ""
    yield section["description"]
    properties = section["properties"]
    yield ""
    yield from _key_table(f"{path}.", properties, section)
    for key, value in properties.items():
        names = _referenced_sections(value)
        inner = f"{path}.{key}"
        if "additionalProperties" in value:
            inner += ".<key>"
        for name in names:
            nested = definitions[name]
            inner_title = f"`{inner}`" if len(names) == 1 else _variant_title(inner, nested)
            yield ""
            yield from _section_reference(
                min(level + 1, 4), inner, inner_title, nested, definitions
            )


def _key_table(prefix: str, properties: dict[str, Any], section: dict[str, Any]) -> Iterator[str]:
    required = section.get("required", ())
    yield "| Key | Type | Default | Description |"
    yield "| --- | --- | --- | --- |"
    for key, value in properties.items():
        default = "required" if key in required else _default_text(value)
        description = value.get("description", "")
        cells = (f"`{prefix}{key}`", _type_text(value), default, description)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _variant_title(path: str, section: dict[str, Any]) -> str:
    properties = section["properties"]
    if "kind" in properties:
        return f"`{path}.kind: {properties['kind']['const']}`"
    name = properties["name"].get("const")
    return f"`{path}: {name}`" if name else f"`{path}`: {section['title']}"


def _referenced_sections(value: Any) -> list[str]:
    """List the sections that a value may consist of."""
    if isinstance(value, list):
        return [name for item in value for name in _referenced_sections(item)]
    if not isinstance(value, dict):
        return []
    if "$ref" in value:
        return [value["$ref"].rpartition("/")[2]]
    nested = ("anyOf", "oneOf", "additionalProperties")
    return [name for key in nested for name in _referenced_sections(value.get(key))]


def _default_text(value: dict[str, Any]) -> str:
    default = value.get("default")
    if (
        isinstance(default, dict)
        and "name" not in default
        and _referenced_sections(value)
        and default
    ):
        return "see below"
    text = yaml.safe_dump(default, default_flow_style=True, width=sys.maxsize, sort_keys=False)
    return f"`{text.removesuffix('...' + chr(10)).strip().strip(chr(39))}`"


def _type_text(value: dict[str, Any]) -> str:
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{item}`" for item in value["enum"])
    alternatives = value.get("anyOf") or value.get("oneOf")
    if alternatives:
        return " or ".join(dict.fromkeys(_type_text(item) for item in alternatives))
    if "$ref" in value:
        return "settings"
    kind: str = value.get("type", "any value")
    if kind == "array":
        if "prefixItems" in value:
            return f"[{', '.join(_type_text(item) for item in value['prefixItems'])}]"
        return f"list of {_type_text(value.get('items', {}))}"
    if kind in ("integer", "number"):
        return kind + _bounds_text(value, kind)
    return {"object": "mapping", "null": "`null`"}.get(kind, kind)


def _bounds_text(value: dict[str, Any], kind: str) -> str:
    low, high = value.get("minimum"), value.get("maximum")
    above, below = value.get("exclusiveMinimum"), value.get("exclusiveMaximum")
    if kind == "integer" and above is not None:
        low, above = above + 1, None
    lower = f" ≥ {low:g}" if low is not None else f" > {above:g}" if above is not None else ""
    upper = f" ≤ {high:g}" if high is not None else f" < {below:g}" if below is not None else ""
    return lower + ("," if lower and upper else "") + upper


if __name__ == "__main__":
    sys.stdout.write(render_reference())
