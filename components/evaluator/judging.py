"""Runs an exported model over raw examples: what production would see."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders import example_coder

from diptych.components.evaluator.metrics import Judged
from diptych.schemas import inputs as features
from diptych.schemas.errors import DataError
from diptych.schemas.inputs import Column, Inputs
from diptych.schemas.shards import SplitPairs

_EXAMPLES_AT_ONCE = 512


class ExportedModel:
    """A SavedModel as the Trainer exports it, with the threshold that it carries."""

    def __init__(self, path: Path) -> None:
        self._model = tf.saved_model.load(str(path))
        card = json.loads((path / "assets.extra" / "diptych.json").read_text(encoding="utf-8"))
        self.threshold: float = card["threshold"]
        self._input: str = card["input"]["name"]

    def embed(self, raw: np.ndarray) -> np.ndarray:
        """(n,) encoded images or (n, d) vectors to (n, size) embeddings."""
        outputs = self._model.signatures["embed"](**{self._input: tf.constant(raw)})
        embedding: np.ndarray = outputs["embedding"].numpy()
        return embedding


def judge_pairs(
    model: ExportedModel, files: list[str], inputs: Inputs, pairs: SplitPairs
) -> Judged:
    """Distances of the pairs, each example encoded once, from its raw form.

    Raises:
      DataError: an example of a pair is not among the raw examples.
    """
    ids = _as_keys(pairs.ids)  # ordered, as read_split_pairs gives them
    embedding, known = None, np.zeros(len(ids), bool)
    for raw_ids, raw in _raw_examples(files, inputs):
        keys = _as_keys(raw_ids)
        place = np.minimum(np.searchsorted(ids, keys), len(ids) - 1)
        mine = (ids[place] == keys) & ~known[place]
        if not mine.any():
            continue
        values = model.embed(raw[mine])
        if embedding is None:
            embedding = np.empty((len(ids), values.shape[1]), np.float32)
        embedding[place[mine]] = values
        known[place[mine]] = True
    if embedding is None or not known.all():
        raise DataError(
            f"{int((~known).sum())} of {len(ids)} examples of the test pairs are not among the "
            "raw examples. The pairs belong to other data: run the pipeline from the start."
        )
    distance = np.linalg.norm(embedding[pairs.left] - embedding[pairs.right], axis=1)
    return Judged(len(ids), pairs.left, pairs.right, pairs.same, distance)


def _as_keys(ids: np.ndarray) -> np.ndarray:
    # Fixed width strings compare as bytes, in the order in which np.unique sorts them.
    return np.ascontiguousarray(ids).view(f"V{ids.shape[1]}").ravel()


def _raw_examples(files: list[str], inputs: Inputs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    decoder = example_coder.ExamplesToRecordBatchDecoder()
    for file in sorted(files):
        records = tf.data.TFRecordDataset(file, "GZIP" if file.endswith(".gz") else "")
        for serialized in records.batch(_EXAMPLES_AT_ONCE).as_numpy_iterator():
            batch = decoder.DecodeBatch(serialized.tolist())
            if inputs.paired:
                yield _ids(batch, features.LEFT_ID), _vectors(batch, inputs.columns)
                yield _ids(batch, features.RIGHT_ID), _vectors(batch, inputs.right_columns)
            elif inputs.kind == "image":
                images = batch[features.IMAGE].flatten().to_numpy(zero_copy_only=False)
                yield _ids(batch, features.ID), images
            else:
                yield _ids(batch, features.ID), _vectors(batch, inputs.columns)


def _ids(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """(n, 16) uint8 of n hexadecimal ids."""
    joined = b"".join(batch[name].flatten().to_pylist())
    return np.frombuffer(bytes.fromhex(joined.decode("ascii")), np.uint8).reshape(len(batch), -1)


def _vectors(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> np.ndarray:
    parts = [
        batch[column.name].flatten().to_numpy().reshape(-1, column.width) for column in columns
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)
