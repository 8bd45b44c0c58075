"""Evaluation of a network on the pairs of a split, and calibration of the threshold."""

from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf

from diptych.components.common.threshold import best_threshold, choose_threshold
from diptych.components.trainer.batches import ShardReader
from diptych.components.trainer.network import Network
from diptych.components.trainer.objective import Objective
from diptych.schemas.config.train import ThresholdCriterion
from diptych.schemas.shards import SplitManifest, inputs_to_numpy, read_split_pairs, shard_name

_ENCODER_BATCH_SIZE = 1024
_BATCHES_PER_LOSS_STEP = 8


class PairEvaluator:
    """Evaluate networks on the pairs of a split.

    Each distinct example is encoded once, regardless of the number of batches that contain it.

    Memory: the embeddings and the pairs; the examples are memory-mapped.

    Args:
      folder: Folder of the split.
      max_rows: Number of rows of the first shards to use, with the pairs among them; None: all.
    """

    def __init__(self, folder: Path, max_rows: int | None = None) -> None:
        self._folder = folder
        self._manifest = SplitManifest.read(folder)
        self._pairs = read_split_pairs(folder, max_rows)

    def threshold(self, network: Network, criterion: ThresholdCriterion = "best_accuracy") -> float:
        """Choose the largest distance at which a pair is predicted positive."""
        distance = self._distances(network, self._embed(network.encoder))
        return choose_threshold(distance, self._pairs.same, criterion)

    def accuracy(self, network: Network, threshold: float) -> float | None:
        """Return the accuracy of the verdict ``distance <= threshold``.

        None if the rows contain no pair, for example if every class has one example.
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
            in_shard = np.flatnonzero(self._pairs.shard == shard)
            if not in_shard.size:
                continue
            with pa.memory_map(str(name)) as source:
                column = pa.ipc.open_file(source).read_all()["x"].combine_chunks()
                x = inputs_to_numpy(column, self._manifest.input)
                for start in range(0, len(in_shard), _ENCODER_BATCH_SIZE):
                    rows = in_shard[start : start + _ENCODER_BATCH_SIZE]
                    embedding[rows] = encoder(x[self._pairs.row[rows]], training=False).numpy()
                del column, x  # views of the memory map, which closes here
        return embedding


class CalibrationEvaluator(PairEvaluator):
    """Evaluate loss and accuracy on the calibration split.

    Args:
      folder: Folder of the split.
      objective: Training objective.
    """

    def __init__(self, folder: Path, objective: Objective) -> None:
        super().__init__(folder)
        # Rows of the embeddings, in place of the examples.
        self._reader = ShardReader(
            folder, objective.term_kind, _BATCHES_PER_LOSS_STEP, x=self._pairs.placed
        )
        self._loss_sums = tf.function(objective, reduce_retracing=True)

    def evaluate(self, network: Network) -> tuple[float, float, float]:
        """Return the mean loss of the terms, the most accurate threshold, and its accuracy."""
        embedding = self._embed(network.encoder)
        total = num_terms = 0.0
        for batch in self._reader.iter_sequential():
            sums = self._loss_sums(embedding[batch.x], batch.terms)
            total, num_terms = total + float(sums[0]), num_terms + float(sums[1])
        distance = self._distances(network, embedding)
        return total / max(num_terms, 1.0), *best_threshold(distance, self._pairs.same)
