"""One version of a model in Ray Serve: replicas that check, batch and embed."""

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

from diptych.components.common.images import find_fault
from diptych.inference.pushed_model import PushedModel
from diptych.inference.raw_images import bounds_of
from diptych.serving.json_examples import Raw
from diptych.serving.request_limits import MAX_EXAMPLES

_BATCH = 64  # examples at once; more of small pictures gain nothing on a few cores
# Long enough that requests of several clients meet, which costs each half of the processor time;
# short beside the rest of a request.
_WAIT_S = 0.005


@dataclasses.dataclass(frozen=True)
class Batch:
    """What one batch took, in seconds."""

    size: int
    check_s: float
    model_s: float


@dataclasses.dataclass(frozen=True, eq=False)
class Embedded:
    """(n, size) embeddings; ``faults`` say why an example, by its number, could not be used.

    ``batches`` are those that began with an example of these, so that each is told of once.
    """

    embeddings: np.ndarray
    faults: dict[int, str]
    batches: tuple[Batch, ...]


class Embedder:
    """A replica.

    Args:
      folder: of the version.
      threads: that TensorFlow may use.
    """

    def __init__(self, folder: str, threads: int) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self._model = PushedModel(Path(folder))
        self._bounds = bounds_of(self._model.manifest)
        self._warm_up()

    async def embed(self, raw: Raw) -> Embedded:
        """(n,) encoded images or (n, d) vectors to their embeddings."""
        answers = await asyncio.gather(*(self._one(example) for example in raw))
        faults = {at: found for at, (found, _) in enumerate(answers) if isinstance(found, str)}
        nothing = np.zeros(self._model.manifest.embedding_size, np.float32)
        return Embedded(
            np.stack([nothing if isinstance(found, str) else found for found, _ in answers]),
            faults,
            tuple(batch for _, batch in answers if batch is not None),
        )

    async def compare(self, left: Raw, right: Raw) -> tuple[Embedded, np.ndarray]:
        """The embeddings of both, left before right, and their (n,) distances."""
        embedded = await self.embed([*left, *right])
        half = len(left)
        return embedded, await self.measure(embedded.embeddings[:half], embedded.embeddings[half:])

    async def measure(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(n,) distances of (n, size) embeddings row by row."""
        return await asyncio.to_thread(self._model.distance, left, right)

    @serve.batch(max_batch_size=_BATCH, batch_wait_timeout_s=_WAIT_S)
    async def _one(self, examples: list[Any]) -> list[tuple[np.ndarray | str, Batch | None]]:
        return await asyncio.to_thread(self._work, examples)

    def _work(self, examples: list[Any]) -> list[tuple[np.ndarray | str, Batch | None]]:
        started = time.perf_counter()
        found: list[np.ndarray | str] = [self._fault(example) or "" for example in examples]
        sound = [at for at, fault in enumerate(found) if not fault]
        checked = time.perf_counter()
        for part in self._parts(examples, sound):
            for at, embedding in zip(part, self._embed([examples[at] for at in part]), strict=True):
                found[at] = (
                    embedding
                    if np.isfinite(embedding).all()
                    else "gives no finite embedding; its values are far from those of training"
                )
        batch = Batch(len(examples), checked - started, time.perf_counter() - checked)
        return [(one, None if at else batch) for at, one in enumerate(found)]

    def _fault(self, example: Any) -> str | None:
        if self._model.inputs.kind == "image":
            return find_fault(example, self._bounds.max_bytes, self._bounds.max_pixels)
        return None

    def _parts(self, examples: Sequence[Any], sound: Sequence[int]) -> Iterator[list[int]]:
        """Those to embed at once: together, they have no more pixels than one may have."""
        part: list[int] = []
        pixels = 0
        for at in sound:
            more = _pixels(examples[at]) if self._model.inputs.kind == "image" else 0
            if part and pixels + more > self._bounds.max_pixels:
                yield part
                part, pixels = [], 0
            part.append(at)
            pixels += more
        if part:
            yield part

    def _embed(self, examples: list[Any]) -> np.ndarray:
        if self._model.inputs.kind == "image":
            return self._model.embed(np.array(examples, object))
        return self._model.embed(np.stack(examples))

    def _warm_up(self) -> None:
        """The first call of a graph is slow, and shows whether it runs at all."""
        inputs = self._model.inputs
        if inputs.kind == "image":
            picture = io.BytesIO()
            Image.new("RGB", inputs.size[::-1]).save(picture, "PNG")
            examples: list[Any] = [picture.getvalue()] * 2
        else:
            examples = [np.zeros(inputs.shape.shape[0], np.float32)] * 2
        embeddings = self._embed(examples)
        self._model.distance(embeddings[:1], embeddings[1:])


def _pixels(encoded: bytes) -> int:
    with Image.open(io.BytesIO(encoded)) as header:
        return header.width * header.height


def replicas_of(folder: Path, replicas: int) -> Any:
    """The application of a version, to be run by Ray Serve."""
    cores = len(os.sched_getaffinity(0))
    deployment = serve.deployment(
        num_replicas=replicas,
        max_ongoing_requests=MAX_EXAMPLES,
        max_constructor_retry_count=1,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=20,
        # Two versions lie beside each other for a while; Ray counts cores only to place them.
        ray_actor_options={"num_cpus": 0},
        logging_config={"enable_access_log": False},
    )
    return deployment(Embedder).bind(str(folder), max(cores // replicas, 1))
