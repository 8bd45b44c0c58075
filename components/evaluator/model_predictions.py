"""Embeddings and pair distances of one model on the test split."""

import dataclasses

import numpy as np

from diptych.components.evaluator.scored_pairs import ScoredPairs


@dataclasses.dataclass(frozen=True)
class ModelPredictions:
    """Predictions of a model on the test split.

    Attributes:
      embeddings: (n, d) embeddings of the distinct examples.
      pairs: Test pairs; ``left`` and ``right`` index ``embeddings``.
      threshold: Calibrated threshold stored in the model.
    """

    embeddings: np.ndarray
    pairs: ScoredPairs
    threshold: float
