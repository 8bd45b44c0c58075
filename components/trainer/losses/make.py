"""From the settings of a loss to the loss, and to what it is given."""

from collections.abc import Callable
from typing import Any

import keras

from diptych.components.trainer.distances import CosineDistance, LearnedL1, PairDistance
from diptych.components.trainer.losses.circle import CircleLoss
from diptych.components.trainer.losses.multi_similarity import MultiSimilarityLoss
from diptych.components.trainer.losses.pairs import (
    BinaryCrossEntropyLoss,
    ContrastiveLoss,
    CosineEmbeddingLoss,
)
from diptych.components.trainer.losses.supervised_contrastive import SupervisedContrastiveLoss
from diptych.components.trainer.losses.triplets import TripletBatchLoss, TripletLoss
from diptych.schemas.config import model


def make_loss(settings: model.Loss, distance: PairDistance) -> keras.losses.Loss:
    """The loss that the configuration asks for, without reduction.

    Called, it gives a value for each pair, triplet or anchor, for the caller to weigh.

    Args:
      settings: the section ``model.loss``.
      distance: between two embeddings; of use to mined triplets only. Losses of pairs and of given
        triplets take what ``make_measure`` measures.
    """
    match settings:
        case model.Contrastive():
            return ContrastiveLoss(settings.margin, reduction="none")
        case model.Triplet(mining="given"):
            return TripletLoss(settings.margin, reduction="none")
        case model.Triplet():
            return TripletBatchLoss(settings.margin, settings.mining, distance, reduction="none")
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


def make_measure(settings: model.Loss, distance: PairDistance) -> Callable[[Any, Any], Any]:
    """What a loss of pairs or of given triplets is given of two embeddings.

    Args:
      settings: the section ``model.loss``.
      distance: the model's; it is that which is measured, but for two losses.

    Returns:
      From ``left`` and ``right`` (m, size) to (m,): log-odds for cross-entropy, the cosine
      distance for the cosine embedding loss (with it, the model may well be measured by another
      distance, that has the same order on unit-length embeddings), otherwise the distance.
    """
    if isinstance(settings, model.BinaryCrossEntropy) and isinstance(distance, LearnedL1):
        return distance.logit
    if isinstance(settings, model.CosineEmbedding):
        return CosineDistance()
    return distance
