"""The whole service: Ray, the versions, the door."""

import asyncio
import contextlib
import dataclasses
import functools
import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from diptych.components.common.local_ray import start_local_ray
from diptych.schemas.errors import ModelError, ServiceError
from diptych.serving.http_errors import Refusal
from diptych.serving.metrics import Metrics
from diptych.serving.middleware import Door
from diptych.serving.model_watch import ModelWatch
from diptych.serving.routes import Routes
from diptych.serving.served_model import ServedModel, load_served, unload_served
from diptych.serving.server import is_loopback, run_server
from diptych.serving.shared_gallery import SharedGallery

_LOOK_EVERY_S = 1.0
_OBJECTS = 256 * 1024 * 1024  # bytes of Ray's shared memory, for large pictures on their way
_HELD = 256 * 1024 * 1024  # bytes of all requests that are being read
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of one service.

    Args:
      model: folder of versions, or one version.
      gallery: folder of the gallery, or None.
      host: address to listen on.
      replicas: processes that each have the model.
      token: asked for.
    """

    model: Path
    gallery: Path | None
    host: str
    replicas: int
    token: str


def serve_model(
    settings: Settings,
    taken: socket.socket,
    ready: Callable[[ServedModel], None],
    news: Callable[[str], None],
) -> None:
    """Serves until SIGINT or SIGTERM.

    Args:
      settings: what to serve, and to whom.
      taken: bound to the address.
      ready: called when the first version is served.
      news: told of versions that are taken up, or refused.

    Raises:
      DiptychError: there is no usable model, or Ray does not start.
    """
    with _ray(), taken:
        asyncio.run(_serve(settings, taken, ready, news))


async def _serve(
    settings: Settings,
    taken: socket.socket,
    ready: Callable[[ServedModel], None],
    news: Callable[[str], None],
) -> None:
    metrics, stop = Metrics(), asyncio.Event()
    load = functools.partial(load_served, replicas=settings.replicas, metrics=metrics)
    watch = ModelWatch(settings.model, load, unload_served)
    await watch.look()
    if not watch.served:
        raise ModelError(_nothing_to_serve(settings.model, watch.refused))
    gallery = None if settings.gallery is None else SharedGallery(settings.gallery)
    if gallery is not None:
        try:
            async with gallery.model(watch):
                pass
        except Refusal as refusal:  # told of now, not with the first request
            raise ModelError(refusal.reason) from refusal
    door = Door(
        Routes(watch, metrics, gallery).app(),
        settings.token,
        frozenset({"127.0.0.1", "localhost", "::1", settings.host})
        if is_loopback(settings.host)
        else None,
        lambda: watch.newest.bounds.body,
        _HELD,
        metrics,
    )
    metrics.versions(watch.served[-1], len(watch.refused))
    ready(watch.newest)
    following = asyncio.create_task(_follow(watch, metrics, news))
    try:
        await run_server(door, taken, stop)
    finally:
        following.cancel()


async def _follow(
    watch: ModelWatch[ServedModel], metrics: Metrics, news: Callable[[str], None]
) -> None:
    """Looks for new versions until it is cancelled."""
    told = dict(watch.refused)
    for number, reason in told.items():
        news(f"version {number} is refused: {reason}")
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        before = watch.served[-1]
        try:
            await watch.look()
        except Exception:  # Ray or the disk; the versions that are served stay
            _log.exception("Looking for versions failed")
            continue
        if watch.served[-1] != before:
            news(f"version {watch.served[-1]} is served now")
        for number, reason in watch.refused.items():
            if told.get(number) != reason:
                news(f"version {number} is refused, {watch.served[-1]} stays: {reason}")
        told = dict(watch.refused)
        metrics.versions(watch.served[-1], len(watch.refused))


@contextlib.contextmanager
def _ray() -> Iterator[None]:
    """A local Ray with Serve and without its proxies; nothing of it is left at the end."""
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
    import ray
    from ray import serve

    start_local_ray(
        len(os.sched_getaffinity(0)),
        lambda reason: ServiceError(f"Cannot start Ray: {reason}"),
        object_store_memory=_OBJECTS,
    )
    try:
        serve.start(proxy_location="Disabled")
        yield
    finally:
        with contextlib.suppress(Exception):  # what is left of it ends with Ray
            serve.shutdown()
        ray.shutdown()


def _nothing_to_serve(path: Path, refused: dict[int, str]) -> str:
    if refused:
        number, reason = max(refused.items())
        return f"No version in {path} can be served. The newest, {number}: {reason}"
    return (
        f"Needed is a folder of pushed models, such as demo/serving, and {path} has none. "
        "Correct the path, or run the pipeline until a model is blessed."
    )
