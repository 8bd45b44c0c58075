"""The calibration split: judges an epoch, and settles the threshold."""

from pathlib import Path

import keras
import numpy as np
import pyarrow as pa

from diptych.components.trainer.losses import euclidean_distance
from diptych.components.trainer.threshold import best_threshold
from diptych.schemas.shards import Manifest, inputs_to_numpy, read_split_pairs, shard_name

_EXAMPLES_AT_ONCE = 1024


class CalibrationSet:
    """The pairs of a split over its distinct examples.

    Each example is encoded once, however many batches it stands in. In memory are the embeddings
    and the pairs; the examples stay mapped.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = Manifest.read(folder)
        self._pairs = read_split_pairs(folder)

    def judge(self, encoder: keras.Model, loss: keras.losses.Loss) -> tuple[float, float]:
        """Mean loss of the pairs, and their accuracy at their best threshold."""
        distance = self.distances(encoder)
        value = float(np.mean(loss(self._pairs.same.astype(np.float32), distance)))
        return value, best_threshold(distance, self._pairs.same)[1]

    def threshold(self, encoder: keras.Model) -> float:
        """The distance up to which two inputs are called the same."""
        return best_threshold(self.distances(encoder), self._pairs.same)[0]

    def distances(self, encoder: keras.Model) -> np.ndarray:
        """(m,) Euclidean distances of the pairs."""
        embedding = self._embed(encoder)
        left, right = embedding[self._pairs.left], embedding[self._pairs.right]
        return np.asarray(euclidean_distance(left, right))

    def _embed(self, encoder: keras.Model) -> np.ndarray:
        size = encoder.output_shape[-1]
        embedding = np.empty((len(self._pairs.ids), size), np.float32)
        for shard in range(self._manifest.num_shards):
            name = self._folder / shard_name("examples", shard, self._manifest.num_shards)
            wanted = np.flatnonzero(self._pairs.shard == shard)
            with pa.memory_map(str(name)) as source:
                column = pa.ipc.open_file(source).read_all()["x"].combine_chunks()
                x = inputs_to_numpy(column, self._manifest.input)
                for start in range(0, len(wanted), _EXAMPLES_AT_ONCE):
                    some = wanted[start : start + _EXAMPLES_AT_ONCE]
                    embedding[some] = encoder(x[self._pairs.row[some]], training=False).numpy()
                del column, x  # views into the map, which closes here
        return embedding
