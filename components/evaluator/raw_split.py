"""Predictions of exported models on raw test examples, as in production."""

import dataclasses
from pathlib import Path

import numpy as np

from diptych.components.common.exported_model import ExportedModel
from diptych.components.common.split_settings import describe_other_splits
from diptych.components.evaluator.model_predictions import ModelPredictions
from diptych.components.evaluator.raw_examples import iter_raw_examples, iter_raw_examples_by_id
from diptych.components.evaluator.reconstructions import MAX_RECONSTRUCTIONS
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.components.evaluator.slice_metrics import (
    SliceMetrics,
    compute_pair_metrics,
    compute_slice_metrics,
)
from diptych.components.evaluator.slices import count_examples_per_class
from diptych.components.evaluator.thumbnails import render_thumbnails
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.errors import DataError, ModelError
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.manifest import verify_if_pushed
from diptych.schemas.model_card import ModelCard
from diptych.schemas.shards import SplitPairs

_PAIRS_PER_BATCH = 2**16


@dataclasses.dataclass(frozen=True)
class RawTestSplit:
    """Raw test examples and their pairs.

    Attributes:
      files: TFRecord files of raw examples.
      inputs: Features of a raw example.
      pairs: Test pairs.
      train_folder: Folder of the training pairs, to count the training examples per class.
    """

    files: list[str]
    inputs: InputSpec
    pairs: SplitPairs
    train_folder: Path

    def predict(self, model: ExportedModel) -> ModelPredictions:
        """Embed each example once, from its raw form, and compute the distances of the pairs.

        Raises:
          DataError: If all pairs are positive or all are negative, or an example of a pair is
            missing from the raw examples.
        """
        positive = int(self.pairs.same.sum())
        if not 0 < positive < len(self.pairs.same):
            raise DataError(
                "Evaluation requires positive and negative pairs in the test split, got "
                f"{positive:,} positive and {len(self.pairs.same) - positive:,} negative. Assign "
                "more examples to the test split (split.test)."
            )
        embeddings = self._embed(model)
        pairs = self.pairs
        distance = np.empty(len(pairs.same), np.float32)
        for start in range(0, len(distance), _PAIRS_PER_BATCH):
            batch = slice(start, start + _PAIRS_PER_BATCH)
            left, right = embeddings[pairs.left[batch]], embeddings[pairs.right[batch]]
            distance[batch] = model.distance(left, right)
        scored = ScoredPairs(len(pairs.ids), pairs.left, pairs.right, pairs.same, distance)
        return ModelPredictions(embeddings, scored, model.threshold)

    def compute_metrics(
        self, predictions: ModelPredictions, model: ExportedModel, config: EvaluateConfig
    ) -> SliceMetrics:
        """Compute the metrics of all slices and classes; of given pairs, those of all pairs."""
        if self.inputs.paired:
            return compute_pair_metrics(predictions, config)
        train_sizes = count_examples_per_class(self.train_folder)
        return compute_slice_metrics(predictions, self.pairs, train_sizes, model, config)

    def render_thumbnails(self, ids: np.ndarray) -> list[bytes]:
        """Render PNG thumbnails of the examples with the given (m, 16) ids, distinct and sorted."""
        return render_thumbnails(self.files, self.inputs, ids)

    def reconstruct_sample(self, model: ExportedModel) -> tuple[np.ndarray, np.ndarray]:
        """Return some of the first examples as encoder inputs, and their reconstructions."""
        _, raw = next(iter_raw_examples(self.files, self.inputs))
        return model.reconstruct(raw[:MAX_RECONSTRUCTIONS])

    def _embed(self, model: ExportedModel) -> np.ndarray:
        embeddings: np.ndarray = np.empty((0, 0), np.float32)
        for rows, raw in iter_raw_examples_by_id(self.files, self.inputs, self.pairs.ids):
            values = model.embed(raw)
            if not len(embeddings):
                embeddings = np.empty((len(self.pairs.ids), values.shape[1]), np.float32)
            embeddings[rows] = values
        return embeddings


def load_production_model(
    path: Path | None, inputs: InputSpec, split_settings: str
) -> tuple[ExportedModel | None, str | None]:
    """Load the model in production for the comparison.

    Args:
      path: Folder of the model, or None if no model has been pushed.
      inputs: Features of the current raw examples.
      split_settings: Current settings of the splits, from ``dump_split_settings``.

    Returns:
      The model, or None without a comparison; and a note that explains why there is none or why it
      is biased, or None.
    """
    consequence = "only the absolute requirements apply."
    if path is None:
        return None, f"No model is in production yet: {consequence}"
    try:
        verify_if_pushed(path)
    except ModelError as error:
        return None, f"{error} Until then, {consequence}"
    if not ModelCard.read(path).accepts_inputs(inputs):
        return None, f"The model in production does not accept the current inputs: {consequence}"
    difference = describe_other_splits(path, split_settings)
    if difference is None:
        return ExportedModel(path), None
    return ExportedModel(path), (
        f"The model in production was trained on other splits of the same data ({difference}): it "
        "may have been trained on test examples, and the comparison favours it."
    )
