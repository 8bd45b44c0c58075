"""What the pod of a step is given: volumes, and its share of a machine."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from diptych.pipeline.runners.resources import check_steps, claim_and_path, resources_of
from diptych.schemas.config.nightly import Nightly, Resources
from diptych.schemas.errors import ConfigError

Amounts = dict[str, str]
"""As Kubernetes names and counts them: ``{"cpu": "2", "memory": "4Gi"}``."""


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume claim, and where it is mounted."""

    claim: str
    path: str
    read_only: bool


def mounted(volumes: Sequence[str], written: Sequence[Path]) -> list[Volume]:
    """The volumes of every pod; what is only read, the raw data, cannot be written to.

    Args:
      volumes: CLAIM:/PATH each.
      written: folders that must outlive a pod; the first is the root.

    Raises:
      ConfigError: one has another form, two have one path, or none holds the root.
    """
    found: dict[str, Volume] = {}
    for volume in volumes:
        claim, path = claim_and_path(volume)
        if path in found:
            raise ConfigError(f"--volume: {path} is given to {found[path].claim} and to {claim}.")
        is_written = any(folder.is_relative_to(path) for folder in written)
        found[path] = Volume(claim, path, read_only=not is_written)
    root = written[0]
    if not any(root.is_relative_to(path) for path in found):
        raise ConfigError(
            f"The root {root} must lie on a volume, or it is lost with the pod of the first step; "
            f"got {sorted(found)}. Give --volume CLAIM:{root}, or another --root."
        )
    return list(found.values())


def amounts_by_step(nightly: Nightly, steps: Sequence[str]) -> dict[str, tuple[Amounts, Amounts]]:
    """Requests and limits of each step.

    Memory is requested as it is limited, so that a node is not promised twice. The processor has no
    limit: what nobody else uses is not to lie idle.

    Raises:
      ConfigError: there are resources for a step that is none of these.
    """
    check_steps(nightly, steps)
    return {step: _amounts(resources_of(step, nightly)) for step in steps}


def _amounts(resources: Resources) -> tuple[Amounts, Amounts]:
    requests: Amounts = {}
    limits: Amounts = {}
    if resources.cpus is not None:
        requests["cpu"] = f"{resources.cpus:g}"
    if resources.memory is not None:
        requests["memory"] = limits["memory"] = resources.memory
    if resources.gpus:
        requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = str(resources.gpus)
    return requests, limits
