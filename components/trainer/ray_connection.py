"""Connection to the Ray that trains: started on this machine, or an existing cluster."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from diptych.components.common.import_path import isolated_job_config
from diptych.components.common.local_ray import local_ray
from diptych.components.trainer.py_modules import build_py_modules
from diptych.components.trainer.ray_resources import (
    ResourceRequest,
    max_cpus_per_worker,
    num_placeable,
    shortage_message,
)
from diptych.schemas.cleanup import cleanup, cleanup_on_error
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import TrainingError

_CONNECT_TIMEOUT_S = 10
# By default, Ray retries for 20 s with a wrong token.
_GCS_WAIT_VARIABLE, _GCS_WAIT_S = "RAY_gcs_server_port_wait_time_s", "5"
_progress = logging.getLogger("diptych.progress")


@contextmanager
def ray_session(settings: TrainConfig, model: ModelConfig) -> Iterator[ResourceRequest]:
    """Start a local Ray, or connect to a cluster; yield the resources to request for the workers.

    If this process is already connected to Ray, for example in a Tune trial, that one is used.

    Raises:
      TrainingError: If Ray does not start, cannot be reached, rejects the token, or this machine
        has too few CPUs.
    """
    # Polling interval of the controller. The default of 2 s would delay every shorter epoch.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    address = settings.ray_address or os.environ.get("RAY_ADDRESS")
    # Ray reads the variable on import, and sets it itself for a local cluster.
    with _default_environment_variable("RAY_AUTH_MODE", "token" if address else None):
        import ray

        if ray.is_initialized():
            yield _resolve_resources(settings)
            return
        with _connect(address, model) if address else _start(settings):
            yield _resolve_resources(settings)


@contextmanager
def _default_environment_variable(name: str, value: str | None) -> Iterator[None]:
    """Set an environment variable within the context, unless it is already set.

    It must not stay set: a local Ray started later would require the token, which this process does
    not have if it imported Ray without token authentication.
    """
    if value is None or name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)


def wait_for_resources(request: ResourceRequest, timeout_s: float) -> None:
    """Wait until all workers fit on the cluster.

    Other jobs may hold resources, or an autoscaler may add nodes. Ray Train itself would wait
    forever.

    Raises:
      TrainingError: If the workers did not fit within ``timeout_s``.
    """
    import ray

    free = ray.available_resources()
    if num_placeable([free], request.bundle) < request.num_workers:
        _progress.info("waiting at most %g s for %s", timeout_s, request)
    placement_group = ray.util.placement_group([request.bundle] * request.num_workers)
    with cleanup(lambda: ray.util.remove_placement_group(placement_group)):
        if not placement_group.wait(timeout_s):
            raise TrainingError(
                shortage_message(request, _node_resources(), ray.available_resources())
            )


def _resolve_resources(settings: TrainConfig) -> ResourceRequest:
    """Apply the defaults: all CPUs are distributed; one GPU per worker if there are enough."""
    nodes, num_workers = _node_resources(), settings.num_workers
    gpus = settings.gpus_per_worker
    return ResourceRequest(
        num_workers,
        cpus_per_worker=settings.cpus_per_worker or max_cpus_per_worker(nodes, num_workers),
        gpus_per_worker=int(num_placeable(nodes, {"GPU": 1}) >= num_workers)
        if gpus is None
        else gpus,
    )


def _node_resources() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _start(settings: TrainConfig) -> AbstractContextManager[object]:
    """Return a context with a local Ray with the total number of CPUs of the workers."""
    num_workers, machine_cpus = settings.num_workers, len(os.sched_getaffinity(0))
    num_cpus = num_workers * (settings.cpus_per_worker or max(machine_cpus // num_workers, 1))
    # Ray schedules at least one CPU per worker, even if the machine has fewer.
    if num_cpus > max(machine_cpus, num_workers):
        request = ResourceRequest(num_workers, num_cpus // num_workers)
        raise TrainingError(
            f"Training needs {request}, this machine has {machine_cpus}. Lower train.num_workers "
            "or train.cpus_per_worker, or set train.ray_address to the address of a cluster."
        )
    return local_ray(
        num_cpus,
        lambda reason: TrainingError(
            f"Cannot start Ray: {reason} Set train.num_workers=0 to train without Ray."
        ),
    )


@contextmanager
def _connect(address: str, model: ModelConfig) -> Iterator[None]:
    import ray

    _check_reachable(address)
    os.environ.setdefault(_GCS_WAIT_VARIABLE, _GCS_WAIT_S)
    try:
        with build_py_modules(model) as py_modules, cleanup_on_error(ray.shutdown):
            # The server of Ray's client creates the job, without folders of this machine.
            job_config = None if address.startswith("ray://") else isolated_job_config()
            ray.init(address=address, job_config=job_config, runtime_env={"py_modules": py_modules})
    except Exception as error:
        raise TrainingError(_connection_error_message(address, error)) from error
    with cleanup(ray.shutdown):
        yield


def _check_reachable(address: str) -> None:
    """Open a TCP connection first: Ray itself retries an unreachable address for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:  # auto: Ray searches for a cluster on this machine
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"Cannot reach the Ray cluster at {address}: {error}. Start it, correct "
            "train.ray_address or RAY_ADDRESS, or set train.num_workers=0 to train without Ray."
        ) from error


def _connection_error_message(address: str, error: Exception) -> str:
    """Explain why a reachable cluster rejects this process."""
    from ray.exceptions import AuthenticationError

    text = f"{error} {error.__cause__ or ''}"
    if isinstance(error, AuthenticationError) or "InvalidAuthToken" in text:
        return (
            f"The Ray cluster at {address} does not accept the token. Set RAY_AUTH_TOKEN, or "
            "RAY_AUTH_TOKEN_PATH to a file with it, and RAY_AUTH_MODE=token; for a cluster "
            "without tokens, set RAY_AUTH_MODE=disabled."
        )
    return f"Cannot join the Ray cluster at {address}: {' '.join(str(error).split())}"
