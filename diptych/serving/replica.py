"""Ray Serve deployment of one version: replicas that check, batch and embed examples."""

import asyncio
import dataclasses
import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from ray import serve
from ray.serve._private import replica as ray_replica

from diptych.components.common.images import prepare_image
from diptych.inference.pushed_model import PushedModel
from diptych.inference.raw_images import limits_of_model
from diptych.serving.json_examples import RawExamples
from diptych.serving.request_limits import MAX_EXAMPLES
from diptych.serving.watchdog import Watchdog

_MAX_BATCH_SIZE = 64  # larger batches of small images are not faster on a few cores
# Long enough to batch the requests of several clients, which halves the processor time of each;
# short compared with the rest of a request.
_BATCH_WAIT_S = 0.005
_MAX_STEP_S = 60  # as long as a request waits for its response
_HEALTH_CHECK_PERIOD_S = 2.0


@dataclasses.dataclass(frozen=True)
class BatchTiming:
    """Size of a batch, and the seconds for the checks and for the model."""

    size: int
    check_s: float
    model_s: float


@dataclasses.dataclass(frozen=True, eq=False)
class EmbedResponse:
    """Embeddings of one request.

    Attributes:
      embeddings: (n, size); zeros for unusable examples.
      problems: Reasons why examples are unusable, keyed by index.
      batches: Batches whose first example belongs to this request, so that each batch is reported
        once.
    """

    embeddings: np.ndarray
    problems: dict[int, str]
    batches: tuple[BatchTiming, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class _UsableExample:
    """Index in the batch, PNG or JPEG or vector, and number of pixels of a usable example."""

    index: int
    value: Any
    num_pixels: int


def _listen_locally() -> None:
    """Let the server that Ray Serve starts next, for calls of replicas, use the loopback interface.

    It has no setting for its address, listens on all interfaces, and unpickles what it receives.
    """
    add_port = ray_replica.add_port_to_grpc_server

    def add_loopback_port(server: Any, address: str) -> int:
        return int(add_port(server, address.replace("[::]", "127.0.0.1")))

    ray_replica.add_port_to_grpc_server = add_loopback_port


class ModelReplica:
    """A replica with one version of the model.

    Args:
      folder: Folder of the version.
      num_threads: Number of threads that TensorFlow may use.
    """

    def __init__(self, folder: str, num_threads: int) -> None:
        _listen_locally()
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(num_threads)
        tf.config.threading.set_inter_op_parallelism_threads(num_threads)
        self._model = PushedModel(Path(folder))
        self._limits = limits_of_model(self._model.manifest)
        self._watchdog = Watchdog(_MAX_STEP_S)
        self._takes_images = self._model.manifest.inputs.kind == "image"
        self._warm_up()

    def check_health(self) -> None:
        """Fail if an example or a batch does not end: Ray Serve then replaces this process.

        Raises:
          TimeoutError: If it takes longer than any client waits.
        """
        self._watchdog.check()

    async def embed(self, raw: RawExamples) -> EmbedResponse:
        """Embed (n,) encoded images or (n, d) vectors."""
        results = await asyncio.gather(*(self._embed_one(example) for example in raw))
        problems = {
            index: result for index, (result, _) in enumerate(results) if isinstance(result, str)
        }
        zeros = np.zeros(self._model.manifest.embedding_size, np.float32)
        return EmbedResponse(
            np.stack([zeros if isinstance(result, str) else result for result, _ in results]),
            problems,
            tuple(timing for _, timing in results if timing is not None),
        )

    async def compare(
        self, left: RawExamples, right: RawExamples
    ) -> tuple[EmbedResponse, np.ndarray]:
        """Embed both sides, left before right, and compute their (n,) distances."""
        response = await self.embed([*left, *right])
        half = len(left)
        embeddings = response.embeddings
        return response, await self.distance(embeddings[:half], embeddings[half:])

    async def distance(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Compute the distances (n,) between the rows of two (n, size) arrays of embeddings."""
        return await asyncio.to_thread(self._model.distance, left, right)

    @serve.batch(max_batch_size=_MAX_BATCH_SIZE, batch_wait_timeout_s=_BATCH_WAIT_S)
    async def _embed_one(
        self, examples: list[Any]
    ) -> list[tuple[np.ndarray | str, BatchTiming | None]]:
        """Embed one example; Ray Serve calls this with a batch of them."""
        return await asyncio.to_thread(self._embed_batch, examples)

    def _embed_batch(
        self, examples: list[Any]
    ) -> list[tuple[np.ndarray | str, BatchTiming | None]]:
        """Return the embedding or the problem of each example; the first has the timing."""
        started = time.perf_counter()
        results: list[np.ndarray | str] = [""] * len(examples)
        usable: list[_UsableExample] = []
        for index, example in enumerate(examples):
            with self._watchdog.watch():
                checked_example = self._check(index, example)
            if isinstance(checked_example, str):
                results[index] = checked_example
            else:
                usable.append(checked_example)
        checked = time.perf_counter()
        for chunk in self._split_by_pixels(usable):
            with self._watchdog.watch():
                embeddings = self._run_model([example.value for example in chunk])
            for index, embedding in zip((each.index for each in chunk), embeddings, strict=True):
                results[index] = (
                    embedding
                    if np.isfinite(embedding).all()
                    else "its embedding is not finite; its values are far from the training data"
                )
        timing = BatchTiming(len(examples), checked - started, time.perf_counter() - checked)
        return [(result, None if index else timing) for index, result in enumerate(results)]

    def _check(self, index: int, example: Any) -> "_UsableExample | str":
        """Check an example, or return the reason why it is unusable."""
        if not self._takes_images:
            return _UsableExample(index, example, 0)
        prepared = prepare_image(example, self._limits)
        if isinstance(prepared, str):
            return prepared
        height, width, _ = prepared.pixels.shape
        return _UsableExample(index, prepared.encoded, height * width)

    def _split_by_pixels(
        self, examples: Sequence["_UsableExample"]
    ) -> Iterator[list["_UsableExample"]]:
        """Split into chunks that together have at most as many pixels as one image may have."""
        chunk: list[_UsableExample] = []
        chunk_pixels = 0
        for example in examples:
            if chunk and chunk_pixels + example.num_pixels > self._limits.max_pixels:
                yield chunk
                chunk, chunk_pixels = [], 0
            chunk.append(example)
            chunk_pixels += example.num_pixels
        if chunk:
            yield chunk

    def _run_model(self, examples: list[Any]) -> np.ndarray:
        if self._takes_images:
            return self._model.embed(np.array(examples, object))
        return self._model.embed(np.stack(examples))

    def _warm_up(self) -> None:
        """Call the graph once: the first call is slow, and fails if the graph cannot run."""
        inputs = self._model.manifest.inputs
        if self._takes_images:
            image = io.BytesIO()
            Image.new("RGB", inputs.size[::-1]).save(image, "PNG")
            examples: list[Any] = [image.getvalue()] * 2
        else:
            examples = [np.zeros(inputs.shape.shape[0], np.float32)] * 2
        embeddings = self._run_model(examples)
        self._model.distance(embeddings[:1], embeddings[1:])


def bind_deployment(folder: Path, num_replicas: int) -> Any:
    """Create the Ray Serve application of a version."""
    num_cores = len(os.sched_getaffinity(0))
    deployment = serve.deployment(
        num_replicas=num_replicas,
        max_ongoing_requests=MAX_EXAMPLES,
        max_constructor_retry_count=1,
        health_check_period_s=_HEALTH_CHECK_PERIOD_S,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=20,
        # Two versions run at the same time for a while; Ray counts cores only for placement.
        ray_actor_options={"num_cpus": 0},
        logging_config={"enable_access_log": False},
    )
    return deployment(ModelReplica).bind(str(folder), max(num_cores // num_replicas, 1))
