"""Triplet losses over given triplets, and over triplets mined in a P x K batch."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from diptych.components.trainer.argument_checks import require_positive
from diptych.components.trainer.distances import EuclideanDistance, PairDistance
from diptych.components.trainer.losses.in_batch import (
    InBatchLoss,
    mask_invalid_anchors,
    masked_max,
    masked_min,
)
from diptych.components.trainer.losses.pairs import ElementwiseLoss


@keras.saving.register_keras_serializable(package="diptych")
class TripletLoss(ElementwiseLoss):
    """Keep the positive closer to the anchor than the negative by ``margin``, for given triplets.

    With the anchor's distances to both, the loss is ``max(positive - negative + margin, 0)``.

    Schroff, Kalenichenko & Philbin, "FaceNet: A Unified Embedding for Face Recognition and
    Clustering", CVPR 2015, eq. 3. One difference: the caller chooses squared or plain distances.

    The loss has two predictions and no ground truth. The distances to the positives therefore take
    the place of ``y_true``: gradients flow to both arguments, and reduction and sample weights work
    as in every Keras loss. It cannot be used with ``Model.compile``.

    Args:
      margin: In the unit of the distances.

    Call arguments:
      positive: (m,), distances between anchors and positives; lower means more similar.
      negative: (m,), distances between anchors and negatives.

    Values are >= 0; lower is better.

    Raises:
      ValueError: If ``margin`` is not positive, or a shape is not (m,).
    """

    def __init__(self, margin: float = 0.2, name: str = "triplet_loss", **kwargs: Any) -> None:
        require_positive(margin=margin)
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, positive: Any, negative: Any) -> Any:
        """Compute the loss of each triplet, (m,)."""
        return ops.relu(positive - negative + self.margin)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable(package="diptych")
class BatchTripletLoss(InBatchLoss):
    """Keep the positive closer to the anchor than the negative by ``margin``, for mined triplets.

    With the anchor's distances to both, a term is ``max(positive - negative + margin, 0)``.
    ``mining`` selects the terms:

    ``all``: every triplet of the batch with a loss above 0; the others do not count. Takes
      n x n x n memory, which is little for one P x K batch: 8 MB per tensor for 128 examples.
    ``hard``: for each anchor, its farthest positive and its nearest negative.
    ``semi_hard``: for each anchor and positive, the nearest negative that is farther than the
      positive; if there is none, the farthest negative.

    Hermans, Beyer & Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017
    (arXiv 1703.07737), eq. 5 (hard) and 6 (all, with the mean over losses above 0).
    Schroff, Kalenichenko & Philbin, "FaceNet", CVPR 2015, eq. 4 (semi-hard), with the farthest
    negative as the fallback, like TensorFlow Addons. Two differences: ``distance`` determines
    whether distances are squared; and means instead of sums.

    Args:
      margin: In the unit of the distance.
      mining: all, hard or semi_hard.
      distance: Distance between two embeddings; Euclidean by default.

    Call arguments, ``terms`` and errors: see ``InBatchLoss``. Values are >= 0; lower is better.

    Raises:
      ValueError: If ``margin`` is not positive, or ``mining`` is not one of the three.
    """

    def __init__(
        self,
        margin: float = 0.2,
        mining: str = "semi_hard",
        distance: PairDistance | None = None,
        name: str = "batch_triplet_loss",
        **kwargs: Any,
    ) -> None:
        require_positive(margin=margin)
        if mining not in _MINING:
            raise ValueError(f"mining must be one of {', '.join(_MINING)}, got {mining}.")
        super().__init__(name=name, **kwargs)
        self.margin = margin
        self.mining = mining
        self.distance = distance or EuclideanDistance()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "margin": self.margin,
            "mining": self.mining,
            "distance": keras.saving.serialize_keras_object(self.distance),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "BatchTripletLoss":
        """Create the loss and its distance from the result of ``get_config``."""
        distance = keras.saving.deserialize_keras_object(config["distance"])
        return cls(**{**config, "distance": distance})

    def _terms(self, embeddings: Any, positive_mask: Any, negative_mask: Any) -> tuple[Any, Any]:
        distance = self.distance.pairwise(embeddings)
        return _MINING[self.mining](distance, positive_mask, negative_mask, self.margin)


def _mine_all(
    distance: Any, positive_mask: Any, negative_mask: Any, margin: float
) -> tuple[Any, Any]:
    triplet_mask = ops.logical_and(
        positive_mask[:, :, None], negative_mask[:, None, :]
    )  # anchor, positive, negative
    losses = ops.relu(distance[:, :, None] - distance[:, None, :] + margin)
    losses = ops.where(triplet_mask, losses, 0.0)
    return ops.sum(losses, axis=(1, 2)), ops.sum(ops.cast(losses > 0.0, "float32"), axis=(1, 2))


def _mine_hard(
    distance: Any, positive_mask: Any, negative_mask: Any, margin: float
) -> tuple[Any, Any]:
    positive, negative = masked_max(distance, positive_mask), masked_min(distance, negative_mask)
    return mask_invalid_anchors(ops.relu(positive - negative + margin), positive_mask)


def _mine_semi_hard(
    distance: Any, positive_mask: Any, negative_mask: Any, margin: float
) -> tuple[Any, Any]:
    sorted_negatives = ops.sort(ops.where(negative_mask, distance, float("inf")), axis=1)
    # Number of negatives that are at most as far as the positive, which is the index of the first
    # negative that is farther. Keras's searchsorted accepts one row, TensorFlow's all rows.
    index = tf.searchsorted(sorted_negatives, distance, side="right")
    last = ops.shape(distance)[1] - 1
    nearest = ops.take_along_axis(sorted_negatives, ops.minimum(index, last), axis=1)
    num_negatives = ops.sum(ops.cast(negative_mask, "int32"), axis=1, keepdims=True)
    fallback = masked_max(distance, negative_mask)[:, None]
    negative = ops.where(index < num_negatives, nearest, fallback)
    losses = ops.where(positive_mask, ops.relu(distance - negative + margin), 0.0)
    return ops.sum(losses, axis=1), ops.sum(ops.cast(positive_mask, "float32"), axis=1)


_MINING: dict[str, Callable[[Any, Any, Any, float], tuple[Any, Any]]] = {
    "all": _mine_all,
    "hard": _mine_hard,
    "semi_hard": _mine_semi_hard,
}
