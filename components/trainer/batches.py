"""Batches from pair shards: memory-mapped, in order, no parsing."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.trainer.augmentation import random_views
from diptych.schemas.shards import Manifest, inputs_to_numpy, shard_name


@dataclasses.dataclass(frozen=True)
class Batch:
    """Examples, each once, and their pairs by row number.

    ``x`` is (n, *shape); ``left`` and ``right`` (m,) int32 rows of it; ``same`` (m,) float32,
    1 or 0; ``weight`` (m,) float32. ``views`` (n, 8) float32 are affine transforms of images, see
    ``augmentation``; (n, 0) where there is no augmentation.
    """

    x: np.ndarray
    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    weight: np.ndarray
    views: np.ndarray


class _Shard:
    """One shard: its examples mapped into memory, and where each batch starts."""

    def __init__(self, folder: Path, shard: int, manifest: Manifest) -> None:
        examples = pa.memory_map(str(folder / shard_name("examples", shard, manifest.num_shards)))
        table = pa.ipc.open_file(examples).read_all()
        self.x = inputs_to_numpy(table["x"].combine_chunks(), manifest.input)
        pairs = pq.read_table(folder / shard_name("pairs", shard, manifest.num_shards))
        self.left = pairs["left"].to_numpy()
        self.right = pairs["right"].to_numpy()
        self.same = pairs["same"].to_numpy().astype(np.float32)
        self.weight = pairs["weight"].to_numpy()
        batches = np.arange(manifest.batches_per_shard[shard] + 1) * manifest.num_shards + shard
        self.rows = np.searchsorted(table["batch"].to_numpy(), batches)
        self.pairs = np.searchsorted(pairs["batch"].to_numpy(), batches)

    def batch(self, place: int) -> Batch:
        """The batch at a place in this shard; no copies but for the row numbers."""
        rows = slice(self.rows[place], self.rows[place + 1])
        pairs = slice(self.pairs[place], self.pairs[place + 1])
        return Batch(
            x=self.x[rows],
            left=self.left[pairs] - self.rows[place].astype(np.int32),
            right=self.right[pairs] - self.rows[place].astype(np.int32),
            same=self.same[pairs],
            weight=self.weight[pairs],
            views=np.zeros((rows.stop - rows.start, 0), np.float32),
        )


class ShardReader:
    """This worker's part of every step.

    A step takes ``batches_per_step`` consecutive batches of the split; worker r of n takes those
    whose number is r modulo n, which all lie in the shards r, r + n, ... So workers read disjoint
    shards, and a step is the same set of batches whatever the number of workers.

    Args:
      folder: of the split.
      batches_per_step: a multiple of ``workers``.
      rank: of this worker.
      workers: a divisor of the number of shards.
      seed: of the order of the steps and of the augmentation, other ones in each epoch.
      augment: draw random views, if the inputs are images.
    """

    def __init__(
        self,
        folder: Path,
        batches_per_step: int,
        rank: int,
        workers: int,
        seed: int,
        augment: bool = False,
    ) -> None:
        self.manifest = Manifest.read(folder)
        self.augment = augment and self.manifest.input.kind == "image"
        self._mine = range(rank, batches_per_step, workers)
        self._shards = {
            shard: _Shard(folder, shard, self.manifest)
            for shard in range(rank, self.manifest.num_shards, workers)
        }
        self._batches_per_step = batches_per_step
        self._seed = seed
        self.num_steps = -(-self.manifest.num_batches // batches_per_step)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The steps of an epoch, ``num_steps`` of them on every worker.

        The last batches of the split may be too few for all workers: some are then given an
        empty batch in that step, as all must take part in it.
        """
        for step in np.random.default_rng((self._seed, epoch)).permutation(self.num_steps):
            numbers = [step * self._batches_per_step + offset for offset in self._mine]
            yield concatenate(
                [
                    self._batch(epoch, number)
                    for number in numbers
                    if number < self.manifest.num_batches
                ]
                or [self._empty()]
            )

    def _batch(self, epoch: int, number: int) -> Batch:
        place, shard = divmod(number, self.manifest.num_shards)
        batch = self._shards[shard].batch(place)
        if not self.augment:
            return batch
        # From the batch's number, not from the worker's state: the same views on any worker.
        generator = np.random.default_rng((self._seed, epoch, number))
        height, width, _ = self.manifest.input.shape
        views = random_views(generator, len(batch.x), height, width)
        return dataclasses.replace(batch, views=views)

    def _empty(self) -> Batch:
        rows, numbers = np.zeros(0, np.int32), np.zeros(0, np.float32)
        x = next(iter(self._shards.values())).x[:0]
        views = np.zeros((0, 8 if self.augment else 0), np.float32)
        return Batch(x=x, left=rows, right=rows, same=numbers, weight=numbers, views=views)


def concatenate(batches: list[Batch]) -> Batch:
    """One batch of several; the row numbers move with the examples."""
    if len(batches) == 1:
        return batches[0]
    starts = np.cumsum([0, *(len(batch.x) for batch in batches[:-1])], dtype=np.int32)
    return Batch(
        x=np.concatenate([batch.x for batch in batches]),
        left=np.concatenate(
            [batch.left + start for batch, start in zip(batches, starts, strict=True)]
        ),
        right=np.concatenate(
            [batch.right + start for batch, start in zip(batches, starts, strict=True)]
        ),
        same=np.concatenate([batch.same for batch in batches]),
        weight=np.concatenate([batch.weight for batch in batches]),
        views=np.concatenate([batch.views for batch in batches]),
    )
