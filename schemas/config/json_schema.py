"""JSON Schema of the configuration, for editors and other validators.

The schema describes the keys, their types and their bounds. Rules that involve several keys are
only checked when a configuration is loaded.
"""

import json
from typing import Any

from diptych.schemas.config.config import Config

SCHEMA_FILE = "diptych.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration file."""
    schema: dict[str, Any] = {"$schema": _DIALECT, **Config.model_json_schema()}
    _normalize_descriptions(schema)
    return schema


def config_schema_text() -> str:
    """Return the JSON Schema as the text of ``diptych.schema.json``."""
    return json.dumps(config_schema(), indent=2) + "\n"


def is_config_schema(text: str) -> bool:
    """Return True if the text is a JSON Schema that this or another version has written."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(schema, dict) and schema.get("title") == Config.model_config["title"]


def unwrap_docstring(text: str) -> str:
    """Join the lines of a docstring and mark code with single backticks."""
    return " ".join(text.replace("``", "`").split())


def _normalize_descriptions(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _normalize_descriptions(item)
    elif isinstance(node, dict):
        if isinstance(node.get("description"), str):
            node["description"] = unwrap_docstring(node["description"])
        for value in node.values():
            _normalize_descriptions(value)
