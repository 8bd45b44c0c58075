"""Resources requested for the training workers, and resources of a Ray cluster."""

import dataclasses
from collections.abc import Mapping, Sequence

Resources = Mapping[str, float]
"""Amounts by Ray's resource names: ``CPU``, ``GPU`` ..."""


@dataclasses.dataclass(frozen=True)
class ResourceRequest:
    """Number of workers, and the resources of each; a worker runs on one node."""

    num_workers: int
    cpus_per_worker: int
    gpus_per_worker: int = 0

    @property
    def bundle(self) -> dict[str, float]:
        """Resources of one worker, as a Ray placement group bundle."""
        cpus, gpus = float(self.cpus_per_worker), float(self.gpus_per_worker)
        return {"CPU": cpus} | ({"GPU": gpus} if gpus else {})

    def __str__(self) -> str:
        workers = _format_quantity(self.num_workers, "worker")
        return f"{workers} with {_format_resources(self.bundle)} each"


def num_placeable(nodes: Sequence[Resources], bundle: Resources) -> int:
    """Return the number of workers with this bundle that fit on the nodes."""
    return sum(
        int(min(node.get(name, 0) // amount for name, amount in bundle.items())) for node in nodes
    )


def max_cpus_per_worker(nodes: Sequence[Resources], num_workers: int) -> int:
    """Return the largest number of CPUs per worker with which all workers fit; at least 1."""
    largest_node = int(max((node.get("CPU", 0) for node in nodes), default=0))
    fitting = (
        cpus
        for cpus in range(largest_node, 1, -1)
        if num_placeable(nodes, {"CPU": cpus}) >= num_workers
    )
    return next(fitting, 1)


def shortage_message(request: ResourceRequest, nodes: Sequence[Resources], free: Resources) -> str:
    """Describe the requested resources, those of the nodes, and those that are free."""
    restricted = [_restrict(node, request.bundle) for node in nodes]
    per_node = ", ".join(map(_format_resources, restricted)) or "no nodes"
    available = _format_resources(_restrict(free, request.bundle))
    return (
        f"Training needs {request}. The Ray cluster has {_format_quantity(len(nodes), 'node')} "
        f"({per_node}), with {available} free. "
        "Lower train.num_workers, train.cpus_per_worker or train.gpus_per_worker, or raise "
        "train.resources_timeout_s to wait longer for other jobs to end or for nodes to be added."
    )


def _restrict(resources: Resources, bundle: Resources) -> dict[str, float]:
    return {name: resources.get(name, 0) for name in bundle}


def _format_resources(resources: Resources) -> str:
    return " and ".join(_format_quantity(amount, name) for name, amount in resources.items())


def _format_quantity(amount: float, name: str) -> str:
    return f"{amount:g} {name}" + ("" if amount == 1 else "s")
