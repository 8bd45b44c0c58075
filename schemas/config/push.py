"""Section ``push`` of the configuration."""

from pydantic import Field

from diptych.schemas.config.section import Section


class PushConfig(Section):
    """Destination of blessed models."""

    path: str | None = Field(
        default=None,
        description="Folder of pushed versions. null: `serving/` in the pipeline root.",
    )
