"""Base class of the contracts that are stored as JSON."""

import json
from pathlib import Path

import pydantic

from diptych.schemas.files import atomic_write


class JsonModel(pydantic.BaseModel):
    """Frozen model that rejects unknown keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def write_json(model: pydantic.BaseModel, path: Path) -> None:
    """Write a model as indented JSON with sorted keys, atomically."""
    text = json.dumps(model.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    with atomic_write(path) as tmp_path:
        tmp_path.write_text(text, encoding="utf-8")
