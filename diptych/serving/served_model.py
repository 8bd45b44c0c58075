"""A version in Ray Serve, as the door uses it."""

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diptych.inference.pushed_model import PushedModel
from diptych.inference.raw_images import bounds_of
from diptych.schemas.errors import ModelError
from diptych.schemas.manifest import ModelManifest
from diptych.serving.http_errors import Refusal
from diptych.serving.json_examples import Raw
from diptych.serving.metrics import Metrics
from diptych.serving.request_limits import Bounds

_TIMEOUT_S = 60
_log = logging.getLogger(__name__)


class _Described(PushedModel):
    """A pushed model that is never loaded here; distances are measured by its replicas."""

    handle: Any

    def distance(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.handle.measure.remote(left, right).result(timeout_s=_TIMEOUT_S)
        return found


@dataclasses.dataclass(frozen=True, eq=False)
class ServedModel:
    """One version.

    ``pushed`` is for a gallery, and measures in a thread; ``handle`` is of Ray Serve.
    """

    pushed: PushedModel
    handle: Any
    metrics: Metrics

    @property
    def manifest(self) -> ModelManifest:
        """What it says of itself."""
        return self.pushed.manifest

    @property
    def bounds(self) -> Bounds:
        """Of requests to it."""
        largest = bounds_of(self.manifest).max_bytes
        return Bounds.of(self.manifest.inputs, self.manifest.embedding_size, largest)

    async def embed(self, raw: Raw, names: Callable[[int], str]) -> np.ndarray:
        """(n, size) embeddings.

        Args:
          raw: n examples.
          names: of an example, by its number, for the reason.

        Raises:
          Refusal: an example cannot be used, or the model does not answer.
        """
        embedded = await self._call(self.handle.embed, raw)
        return self._sound(embedded, names)

    async def compare(self, left: Raw, right: Raw) -> dict[str, np.ndarray]:
        """(n,) ``distance``, ``same`` and ``threshold``; raises as ``embed``."""

        def name(at: int) -> str:
            side, number = ("left", at) if at < len(left) else ("right", at - len(left))
            return side if len(left) == 1 else f"{side}[{number}]"

        embedded, distance = await self._call(self.handle.compare, left, right)
        self._sound(embedded, name)
        return self._verdict(distance)

    async def measure(self, left: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
        """As ``compare``, of embeddings."""
        distance = await self._call(self.handle.measure, left, right)
        if not np.isfinite(distance).all():
            raise Refusal(400, "The embeddings are too large to be measured.")
        return self._verdict(distance)

    def _verdict(self, distance: np.ndarray) -> dict[str, np.ndarray]:
        threshold = np.full(len(distance), self.manifest.threshold, np.float32)
        return {"distance": distance, "same": distance <= threshold, "threshold": threshold}

    def _sound(self, embedded: Any, names: Callable[[int], str]) -> np.ndarray:
        self.metrics.count(embedded.batches)
        for at, fault in sorted(embedded.faults.items()):
            raise Refusal(400, f"{names(at)} cannot be used: {fault}.")
        found: np.ndarray = embedded.embeddings
        return found

    async def _call(self, method: Any, *arguments: object) -> Any:
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        try:
            return await asyncio.wait_for(method.remote(*arguments), _TIMEOUT_S)
        except TimeoutError:
            raise Refusal(503, f"The model did not answer within {_TIMEOUT_S} s.") from None
        except (RayError, RayServeException) as error:
            _log.exception("A replica failed")
            raise Refusal(503, f"The model failed: {type(error).__name__}. Try again.") from None


def load_served(folder: Path, replicas: int, metrics: Metrics) -> ServedModel:
    """Checks a version, and runs it in Ray Serve until it is warm.

    Raises:
      ModelError: it is not as it was pushed, or does not load.
    """
    pushed = _Described(folder)
    if folder.name != str(pushed.version):
        raise ModelError(
            f"{folder} is version {pushed.version} by its manifest. Give the folder that name, or "
            "push the model again."
        )
    from ray import serve

    from diptych.serving.replica import replicas_of

    name = _application(pushed)
    try:
        handle = serve.run(replicas_of(folder, replicas), name=name, route_prefix=None)
    except Exception as error:
        _log.exception("Version %d does not load", pushed.version)
        serve.delete(name)
        raise ModelError(
            f"The model in {folder} does not load: {_cause(error)} The log says more."
        ) from error
    pushed.handle = handle
    return ServedModel(pushed, handle, metrics)


def unload_served(model: ServedModel) -> None:
    """Ends its replicas."""
    from ray import serve

    serve.delete(_application(model.pushed))


def _application(pushed: PushedModel) -> str:
    return f"version-{pushed.version}"


def _cause(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else repr(error)
