"""What the workers of a training need, against what the nodes of a Ray cluster have."""

import dataclasses
from collections.abc import Mapping, Sequence

Resources = Mapping[str, float]
"""Amounts by Ray's names: ``CPU``, ``GPU`` ..."""


@dataclasses.dataclass(frozen=True)
class Need:
    """So many workers, each with so much; a worker lies on one node."""

    workers: int
    cpus: int  # each
    gpus: int = 0  # each

    @property
    def bundle(self) -> dict[str, float]:
        """Of one worker, as Ray takes it."""
        cpus, gpus = float(self.cpus), float(self.gpus)
        return {"CPU": cpus} | ({"GPU": gpus} if gpus else {})

    def __str__(self) -> str:
        return f"{_count(self.workers, 'worker')} with {_amounts(self.bundle)} each"


def room(nodes: Sequence[Resources], bundle: Resources) -> int:
    """Number of workers that find a place."""
    return sum(
        int(min(node.get(name, 0) // amount for name, amount in bundle.items())) for node in nodes
    )


def share_of_cpus(nodes: Sequence[Resources], workers: int) -> int:
    """The most CPUs that each worker can have so that all find a place; at least 1."""
    most = int(max((node.get("CPU", 0) for node in nodes), default=0))
    fits = (cpus for cpus in range(most, 1, -1) if room(nodes, {"CPU": cpus}) >= workers)
    return next(fits, 1)


def shortage(need: Need, nodes: Sequence[Resources], free: Resources) -> str:
    """Says what was asked, what there is, and what of it others hold."""
    there = ", ".join(_amounts(_of(node, need.bundle)) for node in nodes) or "no nodes"
    return (
        f"Training needs {need}. The Ray cluster has {_count(len(nodes), 'node')} ({there}), "
        f"with {_amounts(_of(free, need.bundle))} free. Lower train.num_workers, "
        "train.cpus_per_worker or train.gpus_per_worker, or wait longer "
        "(train.resources_timeout_s) for others to end or for nodes to be added."
    )


def _of(there: Resources, bundle: Resources) -> dict[str, float]:
    return {name: there.get(name, 0) for name in bundle}


def _amounts(resources: Resources) -> str:
    return " and ".join(_count(amount, name) for name, amount in resources.items())


def _count(amount: float, name: str) -> str:
    return f"{amount:g} {name}" + ("" if amount == 1 else "s")
