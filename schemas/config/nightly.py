"""The section ``nightly``: when the pipeline runs by itself, and what is kept."""

import zoneinfo
from typing import Annotated

import pydantic
from pydantic import Field, NonNegativeInt, PositiveInt

from diptych.schemas.config.section import Section

_CRON = r"^\s*(\S+\s+){4}\S+\s*$"


class Resources(Section):
    """What one step asks an orchestrator for; None: no request."""

    cpus: Annotated[float, Field(gt=0)] | None = None
    memory: Annotated[str, Field(pattern=r"^[1-9]\d*(Mi|Gi)$")] | None = None
    gpus: NonNegativeInt = 0


class Nightly(Section):
    """When the pipeline runs by itself, and what is kept of its runs."""

    schedule: Annotated[str, Field(pattern=_CRON)] = "0 2 * * *"  # cron: minute, hour, day, ...
    timezone: str = "UTC"
    retries: NonNegativeInt = 2  # of a step, by an orchestrator
    resources: dict[str, Resources] = Field(default={})  # by step; default: of all others
    keep_runs: PositiveInt = 14  # the newest, with their artifacts
    keep_versions: Annotated[int, Field(ge=2)] = 5  # pushed ones; rollback needs one before
    webhook: str | None = None  # is sent the summary of each night
    pushgateway: str | None = None  # of Prometheus, is sent the metrics of each night

    @pydantic.field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
            raise ValueError("needs a time zone by its name, such as Europe/Berlin") from error
        return name
