"""The pairs that a network is judged by: those of calibration settle the threshold."""

from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf

from diptych.components.trainer.batches import ShardReader
from diptych.components.trainer.network import Network
from diptych.components.trainer.objective import Objective
from diptych.components.trainer.threshold import best_threshold, choose_threshold
from diptych.schemas.config.train import CalibrationTarget
from diptych.schemas.shards import Manifest, inputs_to_numpy, read_split_pairs, shard_name

_EXAMPLES_AT_ONCE = 1024
_BATCHES_AT_ONCE = 8


class JudgedPairs:
    """The pairs of a split over its distinct examples.

    Each example is encoded once, however many batches it stands in. In memory are the embeddings
    and the pairs; the examples stay mapped.

    Args:
      folder: of the split.
      most: rows to take of the first shards, with the pairs among them; None: all.
    """

    def __init__(self, folder: Path, most: int | None = None) -> None:
        self._folder = folder
        self._manifest = Manifest.read(folder)
        self._pairs = read_split_pairs(folder, most)

    def threshold(self, network: Network, target: CalibrationTarget = "best_accuracy") -> float:
        """The distance up to which two inputs are called the same, chosen for a target."""
        distance = self._distances(network, self._embed(network.encoder))
        return choose_threshold(distance, self._pairs.same, target)

    def accuracy(self, network: Network, threshold: float) -> float | None:
        """Share of the pairs told right, where ``distance <= threshold`` means same.

        None where there is no pair, as among rows of classes of one example.
        """
        if not len(self._pairs.same):
            return None
        distance = self._distances(network, self._embed(network.encoder))
        return float(np.mean((distance <= threshold) == (self._pairs.same == 1)))

    def _distances(self, network: Network, embedding: np.ndarray) -> np.ndarray:
        left, right = embedding[self._pairs.left], embedding[self._pairs.right]
        return np.asarray(network.distance(left, right))

    def _embed(self, encoder: keras.Model) -> np.ndarray:
        size = encoder.output_shape[-1]
        embedding = np.empty((len(self._pairs.ids), size), np.float32)
        for shard in range(self._manifest.num_shards):
            name = self._folder / shard_name("examples", shard, self._manifest.num_shards)
            wanted = np.flatnonzero(self._pairs.shard == shard)
            if not wanted.size:
                continue
            with pa.memory_map(str(name)) as source:
                column = pa.ipc.open_file(source).read_all()["x"].combine_chunks()
                x = inputs_to_numpy(column, self._manifest.input)
                for start in range(0, len(wanted), _EXAMPLES_AT_ONCE):
                    some = wanted[start : start + _EXAMPLES_AT_ONCE]
                    embedding[some] = encoder(x[self._pairs.row[some]], training=False).numpy()
                del column, x  # views into the map, which closes here
        return embedding


class CalibrationSet(JudgedPairs):
    """The calibration split, which also has a loss.

    Args:
      folder: of the split.
      objective: that the network is trained on.
    """

    def __init__(self, folder: Path, objective: Objective) -> None:
        super().__init__(folder)
        # In place of the examples, their numbers among the distinct ones.
        self._reader = ShardReader(folder, objective.kind, _BATCHES_AT_ONCE, x=self._pairs.placed)
        self._sums = tf.function(objective, reduce_retracing=True)

    def judge(self, network: Network) -> tuple[float, float, float]:
        """Mean loss of the terms, and the best threshold of the pairs with its accuracy."""
        embedding = self._embed(network.encoder)
        total = number = 0.0
        for batch in self._reader.in_order():
            sums = self._sums(embedding[batch.x], batch.terms)
            total, number = total + float(sums[0]), number + float(sums[1])
        distance = self._distances(network, embedding)
        return total / max(number, 1.0), *best_threshold(distance, self._pairs.same)
