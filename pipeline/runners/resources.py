"""Resources and volumes that the steps request from an orchestrator."""

import re
from collections.abc import Sequence

from diptych.schemas.config.nightly import NightlyConfig, StepResources
from diptych.schemas.errors import ConfigError

_DEFAULT = "default"
_VOLUME_PATTERN = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?):(/.+)")


def check_resource_steps(nightly: NightlyConfig, steps: Sequence[str]) -> None:
    """Check that ``nightly.resources`` names only steps of the pipeline.

    Raises:
      ConfigError: If it names an unknown step.
    """
    unknown = sorted(nightly.resources.keys() - {_DEFAULT, *steps})
    if unknown:
        raise ConfigError(
            f"nightly.resources.{unknown[0]}: the pipeline has no such step. Its steps: "
            f"{', '.join(steps)}. Use {_DEFAULT} for all steps that are not listed."
        )


def step_resources(step: str, nightly: NightlyConfig) -> StepResources:
    """Return the resources that a step requests."""
    return nightly.resources.get(step, nightly.resources.get(_DEFAULT, StepResources()))


def parse_volume(volume: str) -> tuple[str, str]:
    """Split ``CLAIM:/PATH`` into the persistent volume claim and the mount path.

    Raises:
      ConfigError: If the text has an unexpected format.
    """
    match = _VOLUME_PATTERN.fullmatch(volume)
    if match is None:
        raise ConfigError(
            f"--volume expects CLAIM:/PATH, such as diptych-data:/data, got {volume!r}."
        )
    return match[1], match[3]
