"""Batches from pair shards: memory-mapped, in order, no parsing."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.schemas.shards import Manifest, inputs_to_numpy, shard_name

Kind = Literal["pairs", "triplets", "classes"]
"""What a loss takes: drawn pairs, drawn triplets, or the classes of all examples of a batch."""

ROWS: dict[Kind, tuple[str, ...]] = {
    "pairs": ("left", "right"),
    "triplets": ("anchor", "positive", "negative"),
    "classes": ("start",),
}
"""Columns of the terms that are row numbers of the examples."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Examples, each once, and the terms of the loss by row number.

    ``x`` is (n, *shape). ``classes`` (n,) int32 are numbers of classes, good within a P x K batch
    only; ``repeats`` (n,) int32 how often each example is placed in a round. ``terms`` by kind:

    - pairs: ``left``, ``right`` (m,) int32 rows of x, ``same`` and ``weight`` (m,) float32;
    - triplets: ``anchor``, ``positive``, ``negative`` (m,) int32, ``weight`` (m,) float32;
    - classes: ``label`` and ``example`` (n,) int32, numbers of the class and of the example, good
      within a P x K batch only; ``weight`` (n,) float32; and ``start`` (b + 1,) int32, where each
      of the b batches begins, and where the last one ends.

    ``drawn`` (n, k) float32 holds what was drawn for the examples, see ``ShardReader``.
    """

    x: np.ndarray
    classes: np.ndarray
    repeats: np.ndarray
    terms: dict[str, np.ndarray]
    drawn: np.ndarray


Draw = Callable[[np.random.Generator, Batch], np.ndarray]
"""Draws (n, k) float32 for the n examples of a batch."""


class _Shard:
    """One shard: its examples mapped into memory, and where each batch starts."""

    def __init__(
        self,
        folder: Path,
        shard: int,
        manifest: Manifest,
        kind: Kind,
        class_weights: np.ndarray | None,
    ) -> None:
        examples = pa.memory_map(str(folder / shard_name("examples", shard, manifest.num_shards)))
        table = pa.ipc.open_file(examples).read_all()
        self.x = inputs_to_numpy(table["x"].combine_chunks(), manifest.input)
        # By label: a class that training has not seen has no number of its own.
        labels = table["label"].combine_chunks().dictionary_encode()
        self.classes = labels.indices.to_numpy()
        self.repeats = table["repeats"].to_numpy()
        self.kind = kind
        batches = np.arange(manifest.batches_per_shard[shard] + 1) * manifest.num_shards + shard
        self.rows = np.searchsorted(table["batch"].to_numpy(), batches)
        weights = None if class_weights is None else class_weights[table["class"].to_numpy()]
        if kind == "classes":
            weight = table["weight"].to_numpy() if weights is None else weights
            # In the last batches of a round, two chunks of a class may hold the same example.
            ids = table["id"].combine_chunks().dictionary_encode()
            example = ids.indices.to_numpy()
            self.columns = {"label": self.classes, "example": example, "weight": weight}
            self.cuts = self.rows
            return
        terms = pq.read_table(folder / shard_name(kind, shard, manifest.num_shards))
        self.columns = {name: terms[name].to_numpy() for name in terms.column_names[1:]}
        if kind == "pairs":
            self.columns["same"] = self.columns["same"].astype(np.float32)
        if weights is not None:
            self.columns["weight"] = _weights_of(self.columns, weights)
        self.cuts = np.searchsorted(terms["batch"].to_numpy(), batches)
        starts = np.repeat(self.rows[:-1].astype(np.int32), np.diff(self.cuts))
        for name in ROWS[kind]:
            self.columns[name] = self.columns[name] - starts

    def batch(self, place: int) -> Batch:
        """The batch at a place in this shard; no copies."""
        first, end = self.rows[place], self.rows[place + 1]
        cut = slice(self.cuts[place], self.cuts[place + 1])
        terms = {name: column[cut] for name, column in self.columns.items()}
        if self.kind == "classes":
            terms["start"] = np.array([0, end - first], np.int32)
        return Batch(
            x=self.x[first:end],
            classes=self.classes[first:end],
            repeats=self.repeats[first:end],
            terms=terms,
            drawn=np.zeros((end - first, 0), np.float32),
        )


def _weights_of(columns: dict[str, np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Of a pair, the mean of its two examples' weights; of a triplet, its anchor's."""
    if "anchor" in columns:
        anchored: np.ndarray = weights[columns["anchor"]]
        return anchored
    mean: np.ndarray = (weights[columns["left"]] + weights[columns["right"]]) / 2
    return mean


class ShardReader:
    """This worker's part of every step.

    A step takes ``batches_per_step`` consecutive batches of the split; worker r of n takes those
    whose number is r modulo n, which all lie in the shards r, r + n, ... So workers read disjoint
    shards, and a step is the same set of batches whatever the number of workers.

    Args:
      folder: of the split.
      kind: of the terms.
      batches_per_step: a multiple of ``workers``.
      rank: of this worker.
      workers: a divisor of the number of shards.
      seed: of the order of the steps and of what is drawn, other ones in each epoch.
      draw: random numbers for the examples of a batch, by a generator that is a function of the
        batch: the same on whatever worker it is trained.
      class_weights: (classes,) float32, in place of the weights in the shards.
      x: in place of the examples of the shards, one array a shard.
    """

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        batches_per_step: int,
        rank: int = 0,
        workers: int = 1,
        seed: int = 0,
        draw: Draw | None = None,
        class_weights: np.ndarray | None = None,
        x: Sequence[np.ndarray] | None = None,
    ) -> None:
        self.manifest = Manifest.read(folder)
        self.kind = kind
        self._mine = range(rank, batches_per_step, workers)
        self._shards = {
            shard: _Shard(folder, shard, self.manifest, kind, class_weights)
            for shard in range(rank, self.manifest.num_shards, workers)
        }
        if x is not None:
            for number, shard in self._shards.items():
                shard.x = x[number]
        self._batches_per_step = batches_per_step
        self._seed = seed
        self.draw = draw
        self.num_steps = -(-self.manifest.num_batches // batches_per_step)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The steps of an epoch from the given one on, as many on every worker."""
        order = np.random.default_rng((self._seed, epoch)).permutation(self.num_steps)
        for step in order[first_step:].tolist():
            yield self._step(epoch, step)

    def in_order(self) -> Iterator[Batch]:
        """All steps, as they lie in the shards."""
        for step in range(self.num_steps):
            yield self._step(0, step)

    def _step(self, epoch: int, step: int) -> Batch:
        """The last batches of the split may be too few for all workers.

        Some are given empty ones in that step, as all must take part in it.
        """
        numbers = (step * self._batches_per_step + offset for offset in self._mine)
        return concatenate(
            [
                self._batch(epoch, number) if number < self.manifest.num_batches else self._empty()
                for number in numbers
            ],
            self.kind,
        )

    def _batch(self, epoch: int, number: int) -> Batch:
        place, shard = divmod(number, self.manifest.num_shards)
        batch = self._shards[shard].batch(place)
        if self.draw is None:
            return batch
        # From the batch's number, not from the worker's state: the same on any worker.
        generator = np.random.default_rng((self._seed, epoch, number))
        return dataclasses.replace(batch, drawn=self.draw(generator, batch))

    def _empty(self) -> Batch:
        shard = next(iter(self._shards.values()))  # which may be without batches, too
        terms = {name: column[:0] for name, column in shard.columns.items()}
        if self.kind == "classes":
            terms["start"] = np.zeros(2, np.int32)
        drawn = np.zeros((0, 0), np.float32)
        batch = Batch(shard.x[:0], shard.classes[:0], shard.repeats[:0], terms, drawn)
        if self.draw is None:
            return batch
        return dataclasses.replace(batch, drawn=self.draw(np.random.default_rng(0), batch))


def concatenate(batches: list[Batch], kind: Kind) -> Batch:
    """One batch of several; the row numbers move with the examples."""
    if len(batches) == 1:
        return batches[0]
    starts = [0, *itertools.accumulate(len(batch.x) for batch in batches[:-1])]
    terms: dict[str, np.ndarray] = {}
    for name in batches[0].terms:
        columns = [batch.terms[name] for batch in batches]
        if name in ROWS[kind]:
            columns = [column + start for column, start in zip(columns, starts, strict=True)]
        if name == "start":  # where one ends, the next begins
            columns = [*(column[:-1] for column in columns[:-1]), columns[-1]]
        terms[name] = np.concatenate(columns)
    return Batch(
        x=np.concatenate([batch.x for batch in batches]),
        classes=np.concatenate([batch.classes for batch in batches]),
        repeats=np.concatenate([batch.repeats for batch in batches]),
        terms=terms,
        drawn=np.concatenate([batch.drawn for batch in batches]),
    )


def inverse_class_frequencies(folder: Path) -> np.ndarray:
    """W = N / (C n) of each class of a split, from the rows of its shards.

    Returns:
      (classes,) float32 by the number of the class; the mean over the rows is 1. For a class
      without rows, 0.
    """
    manifest = Manifest.read(folder)
    counts = np.zeros(0, np.int64)
    for shard in range(manifest.num_shards):
        name = folder / shard_name("examples", shard, manifest.num_shards)
        with pa.memory_map(str(name)) as source:
            classes = pa.ipc.open_file(source).read_all()["class"].to_numpy()
            found = np.bincount(classes)
        total = np.zeros(max(counts.size, found.size), np.int64)
        total[: counts.size] += counts
        total[: found.size] += found
        counts = total
    there = counts > 0
    weights = np.zeros(counts.size, np.float32)
    weights[there] = counts.sum() / (there.sum() * counts[there])
    return weights
