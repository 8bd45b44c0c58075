"""Losses over pairs, over triplets, and over all examples of a P x K batch. Lower is better."""

from diptych.components.trainer.losses.circle import CircleLoss
from diptych.components.trainer.losses.factory import make_loss, make_pair_predictor
from diptych.components.trainer.losses.in_batch import InBatchLoss
from diptych.components.trainer.losses.multi_similarity import MultiSimilarityLoss
from diptych.components.trainer.losses.pairs import (
    BinaryCrossEntropyLoss,
    ContrastiveLoss,
    CosineEmbeddingLoss,
)
from diptych.components.trainer.losses.supervised_contrastive import SupervisedContrastiveLoss
from diptych.components.trainer.losses.triplets import BatchTripletLoss, TripletLoss

__all__ = [
    "BatchTripletLoss",
    "BinaryCrossEntropyLoss",
    "CircleLoss",
    "ContrastiveLoss",
    "CosineEmbeddingLoss",
    "InBatchLoss",
    "MultiSimilarityLoss",
    "SupervisedContrastiveLoss",
    "TripletLoss",
    "make_loss",
    "make_pair_predictor",
]
