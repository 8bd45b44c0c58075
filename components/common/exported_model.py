"""Exported models, and raw examples in the form that they accept at serving time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf

from diptych.components.common.graph_ops import check_graph
from diptych.components.common.plain_paths import plain_path
from diptych.schemas import input_spec as features
from diptych.schemas.config.model import Distance
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.model_card import ModelCard


class ExportedModel:
    """A SavedModel written by the Trainer, with its calibrated threshold.

    Args:
      path: Folder of the model.

    Raises:
      ModelError: If the model card is missing or damaged, or the graph does more than compute.
    """

    def __init__(self, path: Path) -> None:
        self._card = ModelCard.read(path)
        check_graph(path)
        with plain_path(path) as plain:
            self._model = tf.saved_model.load(str(plain))

    @property
    def inputs(self) -> InputSpec:
        """Raw examples that the model accepts."""
        return self._card.inputs

    @property
    def threshold(self) -> float:
        """Largest distance at which two inputs are predicted to be a positive pair."""
        return self._card.threshold

    @property
    def distance_name(self) -> Distance:
        """Name of the distance, as in ``model.distance``."""
        return self._card.distance

    @property
    def distance_weights(self) -> np.ndarray | None:
        """(size,) float32 weights of a learned distance; None for the other distances."""
        weights = self._card.distance_weights
        return None if weights is None else np.array(weights, np.float32)

    def embed(self, raw: np.ndarray) -> np.ndarray:
        """Compute embeddings (n, size) of (n,) encoded images or (n, d) vectors."""
        outputs = self._model.signatures["embed"](**{self.inputs.kind: tf.constant(raw)})
        embedding: np.ndarray = outputs["embedding"].numpy()
        return embedding

    def distance(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Compute the distances (m,) between the rows of two (m, size) arrays of embeddings.

        Lower means more similar.
        """
        outputs = self._model.signatures["measure"](
            left=tf.constant(left), right=tf.constant(right)
        )
        distance: np.ndarray = outputs["distance"].numpy()
        return distance

    @property
    def has_decoder(self) -> bool:
        """True if the model can reconstruct inputs from embeddings."""
        return "reconstruct" in self._model.signatures

    def reconstruct(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Encode and decode raw examples.

        Returns:
          The preprocessed inputs of the encoder and their reconstructions, both (n, *shape).
        """
        outputs = self._model.signatures["reconstruct"](**{self.inputs.kind: tf.constant(raw)})
        return outputs["input"].numpy(), outputs["reconstruction"].numpy()


def read_raw_batches(path: str, batch_size: int) -> Iterator[pa.RecordBatch]:
    """Read a TFRecord file of raw examples in batches; every column is a list."""
    from tfx_bsl.coders import example_coder  # imports Beam

    decoder = example_coder.ExamplesToRecordBatchDecoder()
    records = tf.data.TFRecordDataset(path, "GZIP" if path.endswith(".gz") else "")
    for serialized in records.batch(batch_size).as_numpy_iterator():
        yield decoder.DecodeBatch(serialized.tolist())


def extract_ids(batch: pa.RecordBatch, name: str = features.ID) -> np.ndarray:
    """Decode a column of n hexadecimal ids to (n, 16) uint8."""
    return decode_ids(batch[name].flatten())


def decode_ids(ids: pa.Array) -> np.ndarray:
    """Decode n hexadecimal ids to (n, 16) uint8."""
    joined = b"".join(ids.to_pylist())
    return np.frombuffer(bytes.fromhex(joined.decode("ascii")), np.uint8).reshape(len(ids), -1)


def extract_inputs(batch: pa.RecordBatch, inputs: InputSpec) -> np.ndarray:
    """Extract (n,) encoded images or (n, d) vectors; for paired data, the left ones."""
    if inputs.kind == "image":
        return _extract_images(batch, features.IMAGE)
    return extract_vectors(batch, inputs.columns)


def extract_right_inputs(batch: pa.RecordBatch, inputs: InputSpec) -> np.ndarray:
    """Extract the inputs of the right side of paired data, as ``extract_inputs`` does."""
    if inputs.kind == "image":
        return _extract_images(batch, features.RIGHT_IMAGE)
    return extract_vectors(batch, inputs.right_columns)


def _extract_images(batch: pa.RecordBatch, name: str) -> np.ndarray:
    images: np.ndarray = batch[name].flatten().to_numpy(zero_copy_only=False)
    return images


def extract_vectors(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> np.ndarray:
    """Concatenate the columns to (n, d) float32."""
    parts = [
        batch[column.name].flatten().to_numpy().reshape(-1, column.width) for column in columns
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)
