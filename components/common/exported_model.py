"""An exported model, and raw examples in the form that it takes: what production would see."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from diptych.schemas import input_spec as features
from diptych.schemas.config.model import Distance
from diptych.schemas.input_spec import Column, Inputs


class ExportedModel:
    """A SavedModel as the Trainer exports it, with the threshold that it carries."""

    def __init__(self, path: Path) -> None:
        self._model = tf.saved_model.load(str(path))
        card = read_card(path)
        self.threshold: float = card["threshold"]
        self.inputs = inputs_of(card)
        self._card = card

    @property
    def measured_by(self) -> Distance:
        """The kind of its distance."""
        kind: Distance = self._card["distance"]
        return kind

    @property
    def distance_weights(self) -> np.ndarray | None:
        """(size,) weights of the parts of an embedding in a learned distance; None in others."""
        weights = self._card["distance_weights"]
        return None if weights is None else np.array(weights, np.float32)

    def embed(self, raw: np.ndarray) -> np.ndarray:
        """(n,) encoded images or (n, d) vectors to (n, size) embeddings."""
        outputs = self._model.signatures["embed"](**{self.inputs.kind: tf.constant(raw)})
        embedding: np.ndarray = outputs["embedding"].numpy()
        return embedding

    def distance(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(m,) distances of (m, size) embeddings row by row; lower is more alike."""
        outputs = self._model.signatures["measure"](
            left=tf.constant(left), right=tf.constant(right)
        )
        distance: np.ndarray = outputs["distance"].numpy()
        return distance

    @property
    def has_decoder(self) -> bool:
        """Whether it can make inputs of embeddings."""
        return "reconstruct" in self._model.signatures

    def reconstruct(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the encoder is given for raw examples, and the same as decoded; both (n, *shape)."""
        outputs = self._model.signatures["reconstruct"](**{self.inputs.kind: tf.constant(raw)})
        return outputs["input"].numpy(), outputs["reconstruction"].numpy()


def read_card(path: Path) -> dict[str, Any]:
    """What an exported model says of itself, read without TensorFlow's loading it."""
    text = (path / "assets.extra" / "diptych.json").read_text(encoding="utf-8")
    card: dict[str, Any] = json.loads(text)
    return card


def inputs_of(card: dict[str, Any]) -> Inputs:
    """The raw examples that a model was made for."""
    return Inputs.model_validate(card["inputs"])


def takes(card: dict[str, Any], inputs: Inputs) -> bool:
    """Whether a model takes such raw examples; images of any size, as it resizes them itself."""
    made_for = inputs_of(card)
    return made_for.kind == inputs.kind and made_for.columns == inputs.columns


def read_raw(file: str, rows: int) -> Iterator[pa.RecordBatch]:
    """Decodes a TFRecord file of raw examples, so many at a time; every column is a list."""
    from tfx_bsl.coders import example_coder  # imports Beam

    decoder = example_coder.ExamplesToRecordBatchDecoder()
    records = tf.data.TFRecordDataset(file, "GZIP" if file.endswith(".gz") else "")
    for serialized in records.batch(rows).as_numpy_iterator():
        yield decoder.DecodeBatch(serialized.tolist())


def raw_ids(batch: pa.RecordBatch, name: str = features.ID) -> np.ndarray:
    """(n, 16) uint8 of n hexadecimal ids."""
    joined = b"".join(batch[name].flatten().to_pylist())
    return np.frombuffer(bytes.fromhex(joined.decode("ascii")), np.uint8).reshape(len(batch), -1)


def raw_inputs(batch: pa.RecordBatch, inputs: Inputs) -> np.ndarray:
    """(n,) encoded images or (n, d) vectors; the left ones of data that came in pairs."""
    if inputs.kind == "image":
        images: np.ndarray = batch[features.IMAGE].flatten().to_numpy(zero_copy_only=False)
        return images
    return raw_vectors(batch, inputs.columns)


def raw_vectors(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> np.ndarray:
    """(n, d) float32 of the columns, one after another."""
    parts = [
        batch[column.name].flatten().to_numpy().reshape(-1, column.width) for column in columns
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)
