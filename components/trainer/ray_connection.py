"""A Ray to train on: one of this machine alone, or a cluster that is there."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from diptych.components.common.local_ray import start_local_ray
from diptych.components.trainer.py_modules import shipment
from diptych.components.trainer.ray_resources import Need, room, share_of_cpus, shortage
from diptych.schemas.config.model import Model
from diptych.schemas.config.train import Train
from diptych.schemas.errors import TrainingError

_CONNECT_TIMEOUT_S = 10
# By default, Ray tries a wrong token for 20 s.
_JOIN_TIMEOUT, _JOIN_TIMEOUT_S = "RAY_gcs_server_port_wait_time_s", "5"
_progress = logging.getLogger("diptych.progress")


@contextmanager
def ray_for(settings: Train, model: Model) -> Iterator[Need]:
    """Starts a local Ray, or connects to a cluster; yields what the workers get of it.

    A Ray that this process is connected to already, such as that of a Tune trial, is used as it is.

    Raises:
      TrainingError: Ray does not start, cannot be reached, refuses the token, or this machine has
        not what was asked for.
    """
    # The controller asks its workers for news this often; the default of 2 s would hold up
    # every epoch that is shorter.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    address = settings.ray_address or os.environ.get("RAY_ADDRESS")
    # Read when Ray is imported. For a local one, Ray sets it by itself.
    with _default("RAY_AUTH_MODE", "token" if address else None):
        import ray

        if ray.is_initialized():
            yield _need(settings)
            return
        if address:
            _connect(address, model)
        else:
            _start(settings)
        try:
            yield _need(settings)
        finally:
            ray.shutdown()


@contextmanager
def _default(name: str, value: str | None) -> Iterator[None]:
    """Sets a variable of the environment meanwhile, unless it is set.

    Left set, it would ask for the token in a local Ray that is started later, of which this process
    does not know when Ray was imported without.
    """
    if value is None or name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def wait_for_room(need: Need, timeout_s: float) -> None:
    """Returns when all workers find a place; Ray Train itself would wait for ever.

    Others may hold what there is, or an autoscaler may add to it.

    Raises:
      TrainingError: it took longer than ``timeout_s``.
    """
    import ray

    free = ray.available_resources()
    if room([free], need.bundle) < need.workers:
        _progress.info("waiting at most %g s for %s", timeout_s, need)
    probe = ray.util.placement_group([need.bundle] * need.workers)
    try:
        if not probe.wait(timeout_s):
            raise TrainingError(shortage(need, _nodes(), ray.available_resources()))
    finally:
        ray.util.remove_placement_group(probe)


def _need(settings: Train) -> Need:
    """With all CPUs shared out, and one GPU a worker where they suffice, if nothing was asked."""
    nodes, workers = _nodes(), settings.num_workers
    gpus = settings.gpus_per_worker
    return Need(
        workers,
        cpus=settings.cpus_per_worker or share_of_cpus(nodes, workers),
        gpus=int(room(nodes, {"GPU": 1}) >= workers) if gpus is None else gpus,
    )


def _nodes() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _start(settings: Train) -> None:
    """With as many CPUs as the workers have together."""
    workers, machine = settings.num_workers, len(os.sched_getaffinity(0))
    cpus = workers * (settings.cpus_per_worker or max(machine // workers, 1))
    # A worker needs a whole CPU by Ray's count, whatever the machine has.
    if cpus > max(machine, workers):
        need = Need(workers, cpus // workers)
        raise TrainingError(
            f"Training needs {need}, this machine has {machine}. Lower train.num_workers or "
            "train.cpus_per_worker, or name a cluster in train.ray_address."
        )
    start_local_ray(
        cpus,
        lambda reason: TrainingError(
            f"Cannot start Ray: {reason} With train.num_workers=0 training runs without Ray."
        ),
    )


def _connect(address: str, model: Model) -> None:
    import ray

    _check_reachable(address)
    os.environ.setdefault(_JOIN_TIMEOUT, _JOIN_TIMEOUT_S)
    try:
        with shipment(model) as modules:
            ray.init(address=address, runtime_env={"py_modules": modules})
    except Exception as error:
        ray.shutdown()
        raise TrainingError(_refusal(address, error)) from error


def _check_reachable(address: str) -> None:
    """Ray itself tries for many minutes before it gives up on an address."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:  # auto: Ray looks for a cluster on this machine
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"Cannot reach the Ray cluster at {address}: {error}. Start it, mend train.ray_address "
            "or RAY_ADDRESS, or set train.num_workers=0 to train without Ray."
        ) from error


def _refusal(address: str, error: Exception) -> str:
    """Why a cluster that answers does not take this process."""
    from ray.exceptions import AuthenticationError

    said = f"{error} {error.__cause__ or ''}"
    if isinstance(error, AuthenticationError) or "InvalidAuthToken" in said:
        return (
            f"The Ray cluster at {address} does not accept the token. Set RAY_AUTH_TOKEN, or "
            "RAY_AUTH_TOKEN_PATH to a file with it, and RAY_AUTH_MODE=token; for a cluster "
            "without tokens, RAY_AUTH_MODE=disabled."
        )
    return f"Cannot join the Ray cluster at {address}: {' '.join(str(error).split())}"
