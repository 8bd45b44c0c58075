"""A pushed model with the Ray Serve handle of its replicas."""

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diptych.inference.pushed_model import PushedModel
from diptych.inference.raw_images import limits_of_model
from diptych.schemas.errors import ModelError
from diptych.schemas.manifest import ModelManifest
from diptych.serving.http_errors import ApiError
from diptych.serving.json_examples import RawExamples
from diptych.serving.metrics import ServiceMetrics
from diptych.serving.request_limits import RequestLimits

_TIMEOUT_S = 60
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class ServedModel:
    """A version whose replicas compute embeddings and distances; see also ``GalleryModel``.

    Attributes:
      pushed: The verified model, never loaded in this process.
      handle: Ray Serve handle of the replicas.
      num_replicas: Number of replicas.
      metrics: Metrics of the service.
    """

    pushed: PushedModel
    handle: Any
    num_replicas: int
    metrics: ServiceMetrics

    @property
    def folder(self) -> Path:
        """Folder of the version."""
        return self.pushed.folder

    @property
    def manifest(self) -> ModelManifest:
        """Manifest of the version."""
        return self.pushed.manifest

    @property
    def request_limits(self) -> RequestLimits:
        """Limits of requests to this model."""
        manifest = self.manifest
        max_image_bytes = limits_of_model(manifest).max_bytes
        return RequestLimits.for_model(manifest.inputs, manifest.embedding_size, max_image_bytes)

    def distance(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Compute the distances (m,) between the rows of two (m, size) arrays of embeddings.

        Blocks until a replica answers: call it in a thread.
        """
        distance: np.ndarray = self.handle.distance.remote(left, right).result(timeout_s=_TIMEOUT_S)
        return distance

    async def embed_examples(
        self, raw: RawExamples, name_example: Callable[[int], str]
    ) -> np.ndarray:
        """Compute (n, size) embeddings.

        Args:
          raw: n examples.
          name_example: Returns the name of the example with an index, for error messages.

        Raises:
          ApiError: If an example is unusable, or the replicas do not answer.
        """
        response = await self._call(self.handle.embed, raw)
        return self._unwrap(response, name_example)

    async def compare_examples(
        self, left: RawExamples, right: RawExamples
    ) -> dict[str, np.ndarray]:
        """Compute (n,) ``distance``, ``same`` and ``threshold``; raises as ``embed_examples``."""

        def name_example(index: int) -> str:
            side, row = ("left", index) if index < len(left) else ("right", index - len(left))
            return side if len(left) == 1 else f"{side}[{row}]"

        response, distance = await self._call(self.handle.compare, left, right)
        self._unwrap(response, name_example)
        return self._apply_threshold(distance)

    async def compare_embeddings(
        self, left: np.ndarray, right: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Compute the outputs of ``compare_examples`` for embeddings."""
        distance = await self._call(self.handle.distance, left, right)
        if not np.isfinite(distance).all():
            raise ApiError(400, "The embeddings are too large: their distance is not finite.")
        return self._apply_threshold(distance)

    def _apply_threshold(self, distance: np.ndarray) -> dict[str, np.ndarray]:
        threshold = np.full(len(distance), self.manifest.threshold, np.float32)
        return {"distance": distance, "same": distance <= threshold, "threshold": threshold}

    def _unwrap(self, response: Any, name_example: Callable[[int], str]) -> np.ndarray:
        self.metrics.record_batches(response.batches)
        for index, problem in sorted(response.problems.items()):
            raise ApiError(400, f"{name_example(index)} cannot be used: {problem}.")
        embeddings: np.ndarray = response.embeddings
        return embeddings

    async def _call(self, method: Any, *arguments: object) -> Any:
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        try:
            return await asyncio.wait_for(method.remote(*arguments), _TIMEOUT_S)
        except TimeoutError:
            raise ApiError(503, f"The model did not answer within {_TIMEOUT_S} s.") from None
        except (RayError, RayServeException) as error:
            _log.exception("A replica failed")
            raise ApiError(503, f"The model failed: {type(error).__name__}. Try again.") from None


def load_served_model(folder: Path, num_replicas: int, metrics: ServiceMetrics) -> ServedModel:
    """Verify a version and start its replicas; return when they are warmed up.

    Raises:
      ModelError: If the version differs from its manifest, or does not load.
    """
    pushed = PushedModel(folder)
    version = pushed.manifest.version
    if folder.name != str(version):
        raise ModelError(
            f"{folder} is version {version} according to its manifest. Rename the folder, or push "
            "the model again."
        )
    from ray import serve

    from diptych.serving.replica import bind_deployment

    name = _application_name(pushed)
    try:
        handle = serve.run(bind_deployment(folder, num_replicas), name=name, route_prefix=None)
    except Exception as error:
        _log.exception("Version %d does not load", version)
        serve.delete(name)
        raise ModelError(
            f"The model in {folder} does not load: {_last_line(error)} See the log for details."
        ) from error
    return ServedModel(pushed, handle, num_replicas, metrics)


def check_served_model(model: ServedModel) -> None:
    """Check that replicas that have ended can start again.

    Raises:
      ModelError: If the version differs from its manifest.
    """
    from ray import serve

    application = serve.status().applications.get(_application_name(model.pushed))
    states = [] if application is None else application.deployments.values()
    num_running = sum(each.replica_states.get("RUNNING", 0) for each in states)
    if num_running < model.num_replicas:
        PushedModel(model.folder)


def unload_served_model(model: ServedModel) -> None:
    """Stop the replicas of a version."""
    from ray import serve

    serve.delete(_application_name(model.pushed))


def _application_name(pushed: PushedModel) -> str:
    return f"version-{pushed.manifest.version}"


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else repr(error)
