"""Volumes and resources of the pods in an Airflow DAG."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from diptych.pipeline.runners.resources import (
    check_resource_steps,
    parse_volume,
    step_resources,
)
from diptych.schemas.config.nightly import NightlyConfig, StepResources
from diptych.schemas.errors import ConfigError

ResourceQuantities = dict[str, str]
"""Resources in Kubernetes notation, such as ``{"cpu": "2", "memory": "4Gi"}``."""


@dataclasses.dataclass(frozen=True)
class PodVolume:
    """A persistent volume claim and its mount path."""

    claim: str
    path: str
    read_only: bool


def parse_pod_volumes(volumes: Sequence[str], written: Sequence[Path]) -> list[PodVolume]:
    """Parse the volumes of the pods; a volume without a written folder is mounted read-only.

    Args:
      volumes: ``CLAIM:/PATH`` each.
      written: Folders that must outlive a pod; the first is the pipeline root.

    Raises:
      ConfigError: If a volume has an unexpected format, two have the same path, or none contains
        the root.
    """
    by_path: dict[str, PodVolume] = {}
    for volume in volumes:
        claim, path = parse_volume(volume)
        if path in by_path:
            raise ConfigError(
                f"--volume: two claims have the mount path {path}: {by_path[path].claim} and "
                f"{claim}. Use a different path for each."
            )
        is_written = any(folder.is_relative_to(path) for folder in written)
        by_path[path] = PodVolume(claim, path, read_only=not is_written)
    root = written[0]
    if not any(root.is_relative_to(path) for path in by_path):
        raise ConfigError(
            f"The root {root} must be on a volume, or it is lost with the pod of the first step; "
            f"got {sorted(by_path)}. Add --volume CLAIM:{root}, or choose another --root."
        )
    return list(by_path.values())


def build_pod_resources(
    nightly: NightlyConfig, steps: Sequence[str]
) -> dict[str, tuple[ResourceQuantities, ResourceQuantities]]:
    """Build the resource requests and limits of each step.

    The memory request equals the limit, so that a node is not overcommitted. CPUs have no limit, so
    a step can use idle ones.

    Raises:
      ConfigError: If ``nightly.resources`` names an unknown step.
    """
    check_resource_steps(nightly, steps)
    return {step: _requests_and_limits(step_resources(step, nightly)) for step in steps}


def _requests_and_limits(
    resources: StepResources,
) -> tuple[ResourceQuantities, ResourceQuantities]:
    requests: ResourceQuantities = {}
    limits: ResourceQuantities = {}
    if resources.cpus is not None:
        requests["cpu"] = f"{resources.cpus:g}"
    if resources.memory is not None:
        requests["memory"] = limits["memory"] = resources.memory
    if resources.gpus:
        requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = str(resources.gpus)
    return requests, limits
