"""Runs exported models over the raw examples of the test split: what production would see."""

import dataclasses
from pathlib import Path

import numpy as np

from diptych.components.common.exported_model import ExportedModel, read_card, takes
from diptych.components.evaluator.evaluate import Outcome, whole_split
from diptych.components.evaluator.raw_examples import raw_examples, raw_examples_of
from diptych.components.evaluator.reconstructions import EXAMPLES_SHOWN
from diptych.components.evaluator.scored_pairs import Judged
from diptych.components.evaluator.slice_metrics import Parts, judge_parts
from diptych.components.evaluator.slices import class_sizes
from diptych.components.evaluator.thumbnails import pictures_of
from diptych.schemas.config.evaluate import Evaluate
from diptych.schemas.errors import DataError, ModelError
from diptych.schemas.input_spec import Inputs
from diptych.schemas.manifest import check_if_pushed
from diptych.schemas.shards import SplitPairs

_PAIRS_AT_ONCE = 2**16


@dataclasses.dataclass(frozen=True)
class RawSplit:
    """Raw test examples and their pairs.

    ``files`` are TFRecords, of which ``inputs`` says the form; ``train`` is the folder of the
    training pairs, which tell how many examples of a class were trained on.
    """

    files: list[str]
    inputs: Inputs
    pairs: SplitPairs
    train: Path

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

    def parts(self, outcome: Outcome, model: ExportedModel, settings: Evaluate) -> Parts:
        """Figures of all slices and classes; of data that came in pairs, of the whole alone."""
        if self.inputs.paired:
            return Parts(slices=(whole_split(outcome, settings),), classes=(), notes=())
        return judge_parts(outcome, self.pairs, class_sizes(self.train), model, settings)

    def pictures_of(self, ids: np.ndarray) -> list[bytes]:
        """Small PNG pictures of examples by their ids (m, 16), each once, ordered."""
        return pictures_of(self.files, self.inputs, ids)

    def reconstruct_some(self, model: ExportedModel) -> tuple[np.ndarray, np.ndarray]:
        """Some of the first examples, as the encoder is given them and as decoded."""
        _, raw = next(raw_examples(self.files, self.inputs))
        return model.reconstruct(raw[:EXAMPLES_SHOWN])

    def _embed(self, model: ExportedModel) -> np.ndarray:
        embedding: np.ndarray = np.empty((0, 0), np.float32)
        for places, raw in raw_examples_of(self.files, self.inputs, self.pairs.ids):
            values = model.embed(raw)
            if not len(embedding):
                embedding = np.empty((len(self.pairs.ids), values.shape[1]), np.float32)
            embedding[places] = values
        return embedding


def load_baseline(path: Path | None, inputs: Inputs) -> tuple[ExportedModel | None, str | None]:
    """The model in production, or why there is none to compare with.

    Args:
      path: of it; None where no model was pushed.
      inputs: what the raw examples hold now.

    Returns:
      The model and None, or None and the reason.
    """
    alone = "the absolute bars alone decide."
    if path is None:
        return None, f"No model is in production yet: {alone}"
    try:
        check_if_pushed(path)
    except ModelError as error:
        return None, f"{error} Until then, {alone}"
    if not takes(read_card(path), inputs):
        return None, f"The model in production takes other inputs than the data have now: {alone}"
    return ExportedModel(path), None
