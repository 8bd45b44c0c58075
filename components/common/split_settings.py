"""Settings that decide the splits, compared with those of a pushed model.

If they differ, the pushed model was trained on some of today's test examples.
"""

import json
from pathlib import Path
from typing import Any

import pydantic

from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import ModelError
from diptych.schemas.manifest import ModelManifest

_DATA_KEYS = ("label", "id", "group", "split", "levels", "time")


def dump_split_settings(data: pydantic.BaseModel, split: SplitConfig) -> str:
    """Return the settings that decide the split of an example, as JSON by dotted name."""
    return json.dumps(_select(data.model_dump(mode="json"), split.model_dump(mode="json")))


def describe_other_splits(model: Path, settings: str) -> str | None:
    """Describe how a model's splits differ from the current ones.

    Args:
      model: Folder of a model.
      settings: Current settings, from ``dump_split_settings``.

    Returns:
      The first difference. None if the splits are the same, if the model was trained on data in
      another place, whose splits are unrelated, and if it has no manifest.
    """
    try:
        configuration = ModelManifest.read(model).configuration
        trained = _select(configuration["data"], configuration["split"])
    except (ModelError, KeyError):
        return None
    current = json.loads(settings)
    if trained["data.path"] != current["data.path"]:
        return None
    # A key that one of them does not have is new, and its default changes nothing.
    for name in sorted(trained.keys() & current.keys()):
        if trained[name] != current[name]:
            return f"{name} was {trained[name]}, now {current[name]}"
    return None


def _select(data: dict[str, Any], split: dict[str, Any]) -> dict[str, Any]:
    selected = {f"data.{name}": data[name] for name in ("path", *_DATA_KEYS) if name in data}
    return selected | {f"split.{name}": value for name, value in split.items()}
