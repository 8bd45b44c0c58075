"""The complete service: Ray Serve, the served versions and the HTTP server."""

import asyncio
import contextlib
import dataclasses
import functools
import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from diptych.components.common.local_ray import local_ray
from diptych.schemas.cleanup import cleanup
from diptych.schemas.errors import ModelError, ServiceError
from diptych.serving.http_errors import ApiError
from diptych.serving.metrics import ServiceMetrics
from diptych.serving.middleware import AuthAndBodyLimitMiddleware
from diptych.serving.ray_watch import adopt_descendants, exit_if_ray_ends
from diptych.serving.routes import Routes
from diptych.serving.served_model import (
    ServedModel,
    check_served_model,
    load_served_model,
    unload_served_model,
)
from diptych.serving.server import is_loopback, run_server
from diptych.serving.shared_gallery import SharedGallery
from diptych.serving.version_watcher import VersionWatcher

_POLL_INTERVAL_S = 1.0
_OBJECT_STORE_BYTES = 256 * 1024 * 1024  # Ray's shared memory, for large images in transit
_MAX_TOTAL_BODY_BYTES = 256 * 1024 * 1024  # of all requests in memory
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ServiceSettings:
    """Settings of a service.

    Attributes:
      model: Folder of versions, or one version.
      gallery: Folder of the gallery, or None.
      host: Address to listen on.
      num_replicas: Number of processes that load the model.
      token: Bearer token that clients must send.
    """

    model: Path
    gallery: Path | None
    host: str
    num_replicas: int
    token: str


def serve_model(
    settings: ServiceSettings,
    bound: socket.socket,
    on_ready: Callable[[ServedModel], None],
    report: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
      settings: Settings of the service.
      bound: Socket bound to the address.
      on_ready: Called when the first version is served.
      report: Called with a line about each version that is served or refused, and if Ray ends.

    Raises:
      DiptychError: If there is no usable model, or Ray does not start.
    """
    with _run_ray_serve(report), bound:
        asyncio.run(_serve_until_stopped(settings, bound, on_ready, report))


async def _serve_until_stopped(
    settings: ServiceSettings,
    bound: socket.socket,
    on_ready: Callable[[ServedModel], None],
    report: Callable[[str], None],
) -> None:
    metrics, stop = ServiceMetrics(), asyncio.Event()
    load = functools.partial(load_served_model, num_replicas=settings.num_replicas, metrics=metrics)
    watcher = VersionWatcher(settings.model, load, unload_served_model, check_served_model)
    await watcher.poll()
    if not watcher.served:
        raise _no_version_error(settings.model, watcher.refused)
    gallery = None if settings.gallery is None else SharedGallery(settings.gallery)
    if gallery is not None:
        try:
            async with gallery.open(watcher):
                pass
        except ApiError as error:  # fail now instead of at the first request
            raise ModelError(error.detail) from error
    loopback_hosts = frozenset({"127.0.0.1", "localhost", "::1", settings.host})
    app = AuthAndBodyLimitMiddleware(
        Routes(watcher, metrics, gallery).create_app(),
        token=settings.token,
        allowed_hosts=loopback_hosts if is_loopback(settings.host) else None,
        max_body_bytes=lambda: watcher.newest_model.request_limits.max_body_bytes,
        max_total_bytes=_MAX_TOTAL_BODY_BYTES,
        metrics=metrics,
    )
    metrics.set_versions(_newest(watcher), len(watcher.refused))
    on_ready(watcher.newest_model)
    polling = asyncio.create_task(_poll_versions(watcher, metrics, report))
    try:
        await run_server(app, bound, stop)
    finally:
        polling.cancel()


async def _poll_versions(
    watcher: VersionWatcher[ServedModel],
    metrics: ServiceMetrics,
    report: Callable[[str], None],
) -> None:
    """Poll for new versions until cancelled."""
    reported = dict(watcher.refused)
    for number, reason in reported.items():
        report(f"version {number} is refused: {reason}")
    while True:
        await asyncio.sleep(_POLL_INTERVAL_S)
        previous = _newest(watcher)
        try:
            await watcher.poll()
        except Exception:  # from Ray or the disk; the served versions remain
            _log.exception("Polling for versions failed")
            continue
        newest = _newest(watcher)
        if newest is not None and newest != previous:
            report(f"version {newest} is served now")
        remaining = "none" if newest is None else newest
        for number, reason in watcher.refused.items():
            if reported.get(number) != reason:
                report(f"version {number} is refused, {remaining} remains: {reason}")
        reported = dict(watcher.refused)
        metrics.set_versions(newest, len(watcher.refused))


def _newest(watcher: VersionWatcher[ServedModel]) -> int | None:
    return watcher.served[-1] if watcher.served else None


@contextlib.contextmanager
def _run_ray_serve(report: Callable[[str], None]) -> Iterator[None]:
    """Run a local Ray with Serve and without its proxies; stop all of it at the end."""
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
    adopt_descendants()
    with local_ray(
        len(os.sched_getaffinity(0)),
        lambda reason: ServiceError(f"Cannot start Ray: {reason}"),
        object_store_memory=_OBJECT_STORE_BYTES,
    ) as folder:
        from ray import serve

        with cleanup(_shut_down_serve), exit_if_ray_ends(folder, report):
            serve.start(proxy_location="Disabled")
            yield


def _shut_down_serve() -> None:
    from ray import serve

    with contextlib.suppress(Exception):  # the end of Ray stops what remains
        serve.shutdown()


def _no_version_error(path: Path, refused: dict[int, str]) -> ModelError:
    if refused:
        number, reason = max(refused.items())
        return ModelError(f"No version in {path} can be served. The newest, {number}: {reason}")
    return ModelError(
        f"{path} contains no pushed model. Pass a folder of pushed models such as demo/serving, or "
        "run the pipeline until a model is blessed."
    )
