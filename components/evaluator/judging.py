"""Runs exported models over the raw examples of the test split: what production would see."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from diptych.components.evaluator.evaluation import Outcome
from diptych.components.evaluator.judged import Judged
from diptych.components.evaluator.reconstructions import EXAMPLES_SHOWN
from diptych.components.exported import (
    ExportedModel,
    raw_ids,
    raw_inputs,
    raw_vectors,
    read_card,
    read_raw,
    takes,
)
from diptych.schemas import inputs as features
from diptych.schemas.errors import DataError
from diptych.schemas.inputs import Inputs
from diptych.schemas.shards import SplitPairs
from diptych.schemas.versions import is_model

_EXAMPLES_AT_ONCE = 512
_PAIRS_AT_ONCE = 2**16


@dataclasses.dataclass(frozen=True)
class RawSplit:
    """Raw examples and their pairs: ``files`` of TFRecords, of which ``inputs`` says the form."""

    files: list[str]
    inputs: Inputs
    pairs: SplitPairs

    def judge(self, model: ExportedModel) -> Outcome:
        """Embeddings and distances, each example encoded once, from its raw form.

        Raises:
          DataError: all pairs are same, or all different; an example of a pair is not among the raw
            examples.
        """
        same = int(self.pairs.same.sum())
        if not 0 < same < len(self.pairs.same):
            raise DataError(
                "A model is judged on same and on different pairs, and the test split has "
                f"{same:,} same and {len(self.pairs.same) - same:,} different ones. Give it more "
                "examples (split.test)."
            )
        embedding = self._embed(model)
        pairs = self.pairs
        distance = np.empty(len(pairs.same), np.float32)
        for start in range(0, len(distance), _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            left, right = embedding[pairs.left[some]], embedding[pairs.right[some]]
            distance[some] = model.distance(left, right)
        judged = Judged(len(pairs.ids), pairs.left, pairs.right, pairs.same, distance)
        return Outcome(embedding, judged, model.threshold)

    def reconstruct_some(self, model: ExportedModel) -> tuple[np.ndarray, np.ndarray]:
        """Some of the first examples, as the encoder is given them and as decoded."""
        _, raw = next(self._examples())
        return model.reconstruct(raw[:EXAMPLES_SHOWN])

    def _embed(self, model: ExportedModel) -> np.ndarray:
        ids = _as_keys(self.pairs.ids)  # ordered, as read_split_pairs gives them
        embedding, known = None, np.zeros(len(ids), bool)
        for some_ids, raw in self._examples():
            keys = _as_keys(some_ids)
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
        return embedding

    def _examples(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for file in sorted(self.files):
            for batch in read_raw(file, _EXAMPLES_AT_ONCE):
                if self.inputs.paired:
                    left, right = self.inputs.columns, self.inputs.right_columns
                    yield raw_ids(batch, features.LEFT_ID), raw_vectors(batch, left)
                    yield raw_ids(batch, features.RIGHT_ID), raw_vectors(batch, right)
                else:
                    yield raw_ids(batch), raw_inputs(batch, self.inputs)


def load_baseline(path: Path | None, inputs: Inputs) -> tuple[ExportedModel | None, str | None]:
    """The model blessed before, or why there is none to compare with.

    Args:
      path: of it; None where no model was blessed.
      inputs: what the raw examples hold now.

    Returns:
      The model and None, or None and the reason.
    """
    alone = "the absolute bars alone decide."
    if path is None:
        return None, f"No model was blessed before: {alone}"
    if not is_model(path):
        return None, f"The model blessed before is no longer in {path}: {alone}"
    if not takes(read_card(path), inputs):
        return None, f"The model blessed before takes other inputs than the data have now: {alone}"
    return ExportedModel(path), None


def _as_keys(ids: np.ndarray) -> np.ndarray:
    # Fixed width strings compare as bytes, in the order in which np.unique sorts them.
    return np.ascontiguousarray(ids).view(f"V{ids.shape[1]}").ravel()
