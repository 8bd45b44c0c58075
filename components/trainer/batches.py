"""Training batches from pair shards: memory-mapped, in order, without parsing."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.schemas.shards import SplitManifest, inputs_to_numpy, shard_name

TermKind = Literal["pairs", "triplets", "classes"]
"""Input of a loss: sampled pairs, sampled triplets, or the class of every example of a batch."""

INDEX_COLUMNS: dict[TermKind, tuple[str, ...]] = {
    "pairs": ("left", "right"),
    "triplets": ("anchor", "positive", "negative"),
    "classes": ("start",),
}
"""Columns of the loss terms that hold row numbers of the examples."""


@dataclasses.dataclass(frozen=True)
class TrainingBatch:
    """Distinct examples, and the loss terms as row numbers of them.

    ``x`` is (n, *shape). ``classes`` (n,) int32 are class indices, valid within a P x K batch only.
    ``repeats`` (n,) int32 counts how often an example is placed in a round. ``terms`` by kind:

    - pairs: ``left``, ``right`` (m,) int32 rows of x, ``same`` and ``weight`` (m,) float32;
    - triplets: ``anchor``, ``positive``, ``negative`` (m,) int32, ``weight`` (m,) float32;
    - classes: ``label`` and ``example`` (n,) int32, indices of the class and of the example, valid
      within a P x K batch only; ``weight`` (n,) float32; and ``start`` (b + 1,) int32, the first
      row of each of the b P x K batches, followed by the end of the last one.

    ``noise`` (n, k) float32 holds random numbers for the examples, see ``ShardReader``.
    """

    x: np.ndarray
    classes: np.ndarray
    repeats: np.ndarray
    terms: dict[str, np.ndarray]
    noise: np.ndarray


NoiseSampler = Callable[[np.random.Generator, TrainingBatch], np.ndarray]
"""Function that samples (n, k) float32 for the n examples of a batch."""


class _MappedShard:
    """One shard: its memory-mapped examples, and the first row of each batch."""

    def __init__(
        self,
        folder: Path,
        shard: int,
        manifest: SplitManifest,
        term_kind: TermKind,
        class_weights: np.ndarray | None,
    ) -> None:
        examples = pa.memory_map(str(folder / shard_name("examples", shard, manifest.num_shards)))
        table = pa.ipc.open_file(examples).read_all()
        self.x = inputs_to_numpy(table["x"].combine_chunks(), manifest.input)
        # By label: a class that is not in the training split has no index in the vocabulary.
        labels = table["label"].combine_chunks().dictionary_encode()
        self.classes = labels.indices.to_numpy()
        self.repeats = table["repeats"].to_numpy()
        self.term_kind = term_kind
        batches = np.arange(manifest.batches_per_shard[shard] + 1) * manifest.num_shards + shard
        self.row_offsets = np.searchsorted(table["batch"].to_numpy(), batches)
        weights = None if class_weights is None else class_weights[table["class"].to_numpy()]
        if term_kind == "classes":
            weight = table["weight"].to_numpy() if weights is None else weights
            # In the last batches of a round, two chunks of a class may hold the same example.
            ids = table["id"].combine_chunks().dictionary_encode()
            example = ids.indices.to_numpy()
            self.columns = {"label": self.classes, "example": example, "weight": weight}
            self.term_offsets = self.row_offsets
            return
        terms = pq.read_table(folder / shard_name(term_kind, shard, manifest.num_shards))
        self.columns = {name: terms[name].to_numpy() for name in terms.column_names[1:]}
        if term_kind == "pairs":
            self.columns["same"] = self.columns["same"].astype(np.float32)
        if weights is not None:
            self.columns["weight"] = _term_weights(self.columns, weights)
        self.term_offsets = np.searchsorted(terms["batch"].to_numpy(), batches)
        first_rows = np.repeat(self.row_offsets[:-1].astype(np.int32), np.diff(self.term_offsets))
        for name in INDEX_COLUMNS[term_kind]:
            self.columns[name] = self.columns[name] - first_rows

    def batch(self, index: int) -> TrainingBatch:
        """Return the batch at an index of this shard, without copying."""
        first, end = self.row_offsets[index], self.row_offsets[index + 1]
        term_rows = slice(self.term_offsets[index], self.term_offsets[index + 1])
        terms = {name: column[term_rows] for name, column in self.columns.items()}
        if self.term_kind == "classes":
            terms["start"] = np.array([0, end - first], np.int32)
        return TrainingBatch(
            x=self.x[first:end],
            classes=self.classes[first:end],
            repeats=self.repeats[first:end],
            terms=terms,
            noise=np.zeros((end - first, 0), np.float32),
        )


def _term_weights(columns: dict[str, np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Weights of pairs (mean of both examples) or of triplets (weight of the anchor)."""
    if "anchor" in columns:
        anchor_weights: np.ndarray = weights[columns["anchor"]]
        return anchor_weights
    mean: np.ndarray = (weights[columns["left"]] + weights[columns["right"]]) / 2
    return mean


class ShardReader:
    """Read one worker's batches of every step.

    A step takes ``batches_per_step`` consecutive batches of the split. Worker r of n takes the
    batches with number r modulo n, which all lie in the shards r, r + n, ... Workers therefore read
    disjoint shards, and a step contains the same batches for any number of workers.

    Args:
      folder: Folder of the split.
      term_kind: Kind of the loss terms.
      batches_per_step: Batches per step over all workers, a multiple of ``world_size``.
      rank: Rank of this worker.
      world_size: Number of workers, a divisor of the number of shards.
      seed: Seed for the order of the steps and for the noise. Both also depend on the epoch.
      sample_noise: Samples random numbers for the examples of a batch. Its generator depends on the
        batch, not on the worker.
      class_weights: (classes,) float32, replaces the weights in the shards.
      x: One array per shard, replaces the examples of the shards.
    """

    def __init__(
        self,
        folder: Path,
        term_kind: TermKind,
        batches_per_step: int,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        sample_noise: NoiseSampler | None = None,
        class_weights: np.ndarray | None = None,
        x: Sequence[np.ndarray] | None = None,
    ) -> None:
        self.manifest = SplitManifest.read(folder)
        self.term_kind = term_kind
        self._step_offsets = range(rank, batches_per_step, world_size)
        self._shards = {
            shard: _MappedShard(folder, shard, self.manifest, term_kind, class_weights)
            for shard in range(rank, self.manifest.num_shards, world_size)
        }
        if x is not None:
            for number, shard in self._shards.items():
                shard.x = x[number]
        self._batches_per_step = batches_per_step
        self._seed = seed
        self.sample_noise = sample_noise
        self.num_steps = -(-self.manifest.num_batches // batches_per_step)

    def iter_epoch(self, epoch: int, first_step: int = 0) -> Iterator[TrainingBatch]:
        """Yield the shuffled steps of an epoch; all workers get the same number of steps.

        Args:
          epoch: Index of the epoch.
          first_step: Number of steps to skip when training resumes within an epoch.
        """
        order = np.random.default_rng((self._seed, epoch)).permutation(self.num_steps)
        for step in order[first_step:].tolist():
            yield self._step(epoch, step)

    def iter_sequential(self) -> Iterator[TrainingBatch]:
        """Yield all steps in the order of the shards."""
        for step in range(self.num_steps):
            yield self._step(0, step)

    def _step(self, epoch: int, step: int) -> TrainingBatch:
        """Return this worker's part of a step.

        The last step may have fewer batches than workers. The other workers get empty batches,
        because every worker must take part in every all-reduce.
        """
        numbers = (step * self._batches_per_step + offset for offset in self._step_offsets)
        return concatenate_batches(
            [
                self._batch(epoch, number)
                if number < self.manifest.num_batches
                else self._empty_batch()
                for number in numbers
            ],
            self.term_kind,
        )

    def _batch(self, epoch: int, number: int) -> TrainingBatch:
        index, shard = divmod(number, self.manifest.num_shards)
        batch = self._shards[shard].batch(index)
        if self.sample_noise is None:
            return batch
        # Seeded by the batch number, so the noise is the same on every worker.
        generator = np.random.default_rng((self._seed, epoch, number))
        return dataclasses.replace(batch, noise=self.sample_noise(generator, batch))

    def _empty_batch(self) -> TrainingBatch:
        shard = next(iter(self._shards.values()))  # may have no batches either
        terms = {name: column[:0] for name, column in shard.columns.items()}
        if self.term_kind == "classes":
            terms["start"] = np.zeros(2, np.int32)
        noise = np.zeros((0, 0), np.float32)
        batch = TrainingBatch(shard.x[:0], shard.classes[:0], shard.repeats[:0], terms, noise)
        if self.sample_noise is None:
            return batch
        return dataclasses.replace(batch, noise=self.sample_noise(np.random.default_rng(0), batch))


def concatenate_batches(batches: list[TrainingBatch], term_kind: TermKind) -> TrainingBatch:
    """Concatenate batches, and shift the row numbers of their terms accordingly."""
    if len(batches) == 1:
        return batches[0]
    first_rows = [0, *itertools.accumulate(len(batch.x) for batch in batches[:-1])]
    terms: dict[str, np.ndarray] = {}
    for name in batches[0].terms:
        columns = [batch.terms[name] for batch in batches]
        if name in INDEX_COLUMNS[term_kind]:
            columns = [column + first for column, first in zip(columns, first_rows, strict=True)]
        if name == "start":  # the end of a batch is the start of the next one
            columns = [*(column[:-1] for column in columns[:-1]), columns[-1]]
        terms[name] = np.concatenate(columns)
    return TrainingBatch(
        x=np.concatenate([batch.x for batch in batches]),
        classes=np.concatenate([batch.classes for batch in batches]),
        repeats=np.concatenate([batch.repeats for batch in batches]),
        terms=terms,
        noise=np.concatenate([batch.noise for batch in batches]),
    )


def inverse_frequency_weights(folder: Path) -> np.ndarray:
    """Class weights W = N / (C n), from the rows of a split's shards.

    N is the number of rows, C the number of classes with rows, n the number of rows of the class.

    Returns:
      (classes,) float32 by class index, with mean 1 over the rows, and 0 for a class without rows.
    """
    manifest = SplitManifest.read(folder)
    counts = np.zeros(0, np.int64)
    for shard in range(manifest.num_shards):
        name = folder / shard_name("examples", shard, manifest.num_shards)
        with pa.memory_map(str(name)) as source:
            classes = pa.ipc.open_file(source).read_all()["class"].to_numpy()
            shard_counts = np.bincount(classes)
        total = np.zeros(max(counts.size, shard_counts.size), np.int64)
        total[: counts.size] += counts
        total[: shard_counts.size] += shard_counts
        counts = total
    has_rows = counts > 0
    weights = np.zeros(counts.size, np.float32)
    weights[has_rows] = counts.sum() / (has_rows.sum() * counts[has_rows])
    return weights
