"""What every section of the configuration has in common."""

from typing import Annotated, Any

import pydantic
from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]


class Section(pydantic.BaseModel):
    """A frozen part of the configuration; a key that it does not know is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def by_name(value: Any) -> Any:
    """``mlp`` for ``{name: mlp}``: a part that is named without settings."""
    return {"name": value} if isinstance(value, str) else value
