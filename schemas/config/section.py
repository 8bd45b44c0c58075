"""Base class and types that all sections of the configuration share."""

from typing import Annotated, Any

import pydantic
from pydantic import Field

Proportion = Annotated[float, Field(ge=0, le=1)]


class Section(pydantic.BaseModel):
    """Frozen part of the configuration that rejects unknown keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def expand_name(value: Any) -> Any:
    """Expand ``mlp`` to ``{name: mlp}``: the short form without settings."""
    return {"name": value} if isinstance(value, str) else value
