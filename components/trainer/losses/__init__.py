"""Losses of pairs, of triplets, and of all examples of a P x K batch. Lower is better."""

from diptych.components.trainer.losses.circle import CircleLoss
from diptych.components.trainer.losses.in_batch import InBatchLoss
from diptych.components.trainer.losses.make import make_loss, make_measure
from diptych.components.trainer.losses.multi_similarity import MultiSimilarityLoss
from diptych.components.trainer.losses.pairs import (
    BinaryCrossEntropyLoss,
    ContrastiveLoss,
    CosineEmbeddingLoss,
)
from diptych.components.trainer.losses.supervised_contrastive import SupervisedContrastiveLoss
from diptych.components.trainer.losses.triplets import TripletBatchLoss, TripletLoss

__all__ = [
    "BinaryCrossEntropyLoss",
    "CircleLoss",
    "ContrastiveLoss",
    "CosineEmbeddingLoss",
    "InBatchLoss",
    "MultiSimilarityLoss",
    "SupervisedContrastiveLoss",
    "TripletBatchLoss",
    "TripletLoss",
    "make_loss",
    "make_measure",
]
