"""Creation of the configured loss and of the function that computes its input."""

from collections.abc import Callable
from typing import Any

import keras

from diptych.components.trainer.distances import CosineDistance, LearnedL1Distance, PairDistance
from diptych.components.trainer.losses.circle import CircleLoss
from diptych.components.trainer.losses.multi_similarity import MultiSimilarityLoss
from diptych.components.trainer.losses.pairs import (
    BinaryCrossEntropyLoss,
    ContrastiveLoss,
    CosineEmbeddingLoss,
)
from diptych.components.trainer.losses.supervised_contrastive import SupervisedContrastiveLoss
from diptych.components.trainer.losses.triplets import BatchTripletLoss, TripletLoss
from diptych.schemas.config import model


def make_loss(settings: model.Loss, distance: PairDistance) -> keras.losses.Loss:
    """Create the configured loss, without reduction.

    A call returns a value per pair, triplet or anchor, which the caller weights.

    Args:
      settings: Section ``model.loss``.
      distance: Distance between two embeddings, used for mined triplets only. Losses over pairs and
        over given triplets take the result of ``make_pair_predictor``.
    """
    match settings:
        case model.Contrastive():
            return ContrastiveLoss(settings.margin, reduction="none")
        case model.Triplet(mining="given"):
            return TripletLoss(settings.margin, reduction="none")
        case model.Triplet():
            return BatchTripletLoss(settings.margin, settings.mining, distance, reduction="none")
        case model.CosineEmbedding():
            return CosineEmbeddingLoss(settings.margin, reduction="none")
        case model.Circle():
            return CircleLoss(settings.margin, settings.gamma, reduction="none")
        case model.MultiSimilarity():
            return MultiSimilarityLoss(
                settings.alpha, settings.beta, settings.base, settings.epsilon, reduction="none"
            )
        case model.SupervisedContrastive():
            return SupervisedContrastiveLoss(settings.temperature, reduction="none")
        case model.BinaryCrossEntropy():
            return BinaryCrossEntropyLoss(reduction="none")


def make_pair_predictor(settings: model.Loss, distance: PairDistance) -> Callable[[Any, Any], Any]:
    """Create the function that computes the input of a loss over pairs or given triplets.

    Args:
      settings: Section ``model.loss``.
      distance: Distance of the model.

    Returns:
      A function of ``left`` and ``right`` (m, size) that returns (m,): log-odds for cross-entropy,
      the cosine distance for the cosine embedding loss (the model may use another distance, which
      has the same order on unit-length embeddings), and ``distance`` for all other losses.
    """
    if isinstance(settings, model.BinaryCrossEntropy) and isinstance(distance, LearnedL1Distance):
        return distance.logit
    if isinstance(settings, model.CosineEmbedding):
        return CosineDistance()
    return distance
