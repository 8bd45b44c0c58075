"""Base class of the contracts that are stored as JSON."""

import json
from pathlib import Path
from typing import Annotated

import pydantic

from diptych.schemas.files import atomic_write

_MAX_FLOAT32 = 3.4028234663852886e38
Float32 = Annotated[float, pydantic.Field(ge=-_MAX_FLOAT32, le=_MAX_FLOAT32)]
"""A finite number, also as float32."""


class JsonModel(pydantic.BaseModel):
    """Frozen model that rejects unknown keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def write_json(model: pydantic.BaseModel, path: Path) -> None:
    """Write a model as indented JSON with sorted keys, atomically."""
    text = json.dumps(model.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    with atomic_write(path) as tmp_path:
        tmp_path.write_text(text, encoding="utf-8")
