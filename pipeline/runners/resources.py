"""What the steps ask an orchestrator for: ``nightly.resources``, and volumes."""

import re
from collections.abc import Sequence

from diptych.schemas.config.nightly import Nightly, Resources
from diptych.schemas.errors import ConfigError

_OTHERS = "default"
_VOLUME = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?):(/.+)")


def check_steps(nightly: Nightly, steps: Sequence[str]) -> None:
    """Raises ConfigError if resources are asked for by a step that is not there."""
    unknown = sorted(nightly.resources.keys() - {_OTHERS, *steps})
    if unknown:
        raise ConfigError(
            f"nightly.resources.{unknown[0]}: there is no such step. There are "
            f"{', '.join(steps)}, and {_OTHERS} for all others."
        )


def resources_of(step: str, nightly: Nightly) -> Resources:
    """What a step asks for."""
    return nightly.resources.get(step, nightly.resources.get(_OTHERS, Resources()))


def claim_and_path(volume: str) -> tuple[str, str]:
    """The claim of ``CLAIM:/PATH``, and where it is mounted.

    Raises:
      ConfigError: it has another form.
    """
    found = _VOLUME.fullmatch(volume)
    if found is None:
        raise ConfigError(
            f"--volume needs CLAIM:/PATH, such as diptych-data:/data, got {volume!r}."
        )
    return found[1], found[3]
