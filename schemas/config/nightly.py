"""Section ``nightly`` of the configuration."""

import zoneinfo
from typing import Annotated

import pydantic
from pydantic import Field, NonNegativeInt, PositiveInt

from diptych.schemas.config.section import Section

_CRON = r"^\s*(\S+\s+){4}\S+\s*$"


class StepResources(Section):
    """Resources that an orchestrator requests for a step. null: no request."""

    cpus: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Number of CPUs, such as 0.5 or 4."
    )
    memory: Annotated[str, Field(pattern=r"^[1-9]\d*(Mi|Gi)$")] | None = Field(
        default=None, description="Memory in Kubernetes notation, such as 512Mi or 8Gi."
    )
    gpus: NonNegativeInt = Field(default=0, description="Number of GPUs.")


class NightlyConfig(Section):
    """Scheduled runs, retention and notifications."""

    schedule: Annotated[str, Field(pattern=_CRON)] = Field(
        default="0 2 * * *",
        description="Cron expression: minute, hour, day of the month, month, day of the week.",
    )
    timezone: str = Field(
        default="UTC", description="IANA time zone of the schedule, such as Europe/Berlin."
    )
    retries: NonNegativeInt = Field(
        default=2, description="Retries of a failed step by an orchestrator."
    )
    resources: dict[str, StepResources] = Field(
        default={},
        description="Resources by step, such as {default: {cpus: 2, memory: 8Gi}, Trainer: {gpus: "
        "1}}. `default` applies to all steps that are not listed.",
    )
    keep_runs: PositiveInt = Field(
        default=14, description="Number of newest runs whose artifacts are kept."
    )
    keep_versions: Annotated[int, Field(ge=2)] = Field(
        default=5,
        description="Number of newest pushed versions to keep. A rollback needs a previous one. "
        "The version in production is never deleted.",
    )
    webhook: str | None = Field(
        default=None,
        description="URL that receives the summary of each night as JSON. null: no notification.",
    )
    pushgateway: str | None = Field(
        default=None,
        description="Prometheus Pushgateway for the metrics of each night, such as "
        "http://pushgateway:9091. null: no metrics.",
    )

    @pydantic.field_validator("timezone")
    @classmethod
    def _check_timezone(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
            raise ValueError(
                "expected the name of an IANA time zone, such as Europe/Berlin"
            ) from error
        return name
