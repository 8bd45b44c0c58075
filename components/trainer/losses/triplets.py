"""Triplet losses: of given triplets, and of those mined in a P x K batch."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from diptych.components.trainer.argument_checks import require_positive
from diptych.components.trainer.distances import EuclideanDistance, PairDistance
from diptych.components.trainer.losses.in_batch import (
    InBatchLoss,
    highest,
    lowest,
    one_term_each,
)
from diptych.components.trainer.losses.pairs import RowLoss


@keras.saving.register_keras_serializable(package="diptych")
class TripletLoss(RowLoss):
    """The positive nearer to the anchor than the negative, by ``margin``, in given triplets.

    With the distances of the anchor to both: ``max(positive - negative + margin, 0)``.

    Schroff, Kalenichenko & Philbin, "FaceNet: A Unified Embedding for Face Recognition and
    Clustering", CVPR 2015, eq. 3. One change: squared or not is the choice of who measures.

    It is a loss of two predictions, and has no truth beside them. So the distances to the
    positives take the place of ``y_true``, gradients flow to both, and reduction and weights are
    those of every Keras loss. ``Model.compile`` has no use for it.

    Args:
      margin: in the unit of the distances.

    Call arguments:
      positive: (m,), distances of anchors and positives, lower is more alike.
      negative: (m,), distances of anchors and negatives.

    Values are >= 0; lower is better.

    Raises:
      ValueError: ``margin`` is not positive, or a shape is not (m,).
    """

    def __init__(self, margin: float = 0.2, name: str = "triplet_loss", **options: Any) -> None:
        require_positive(margin=margin)
        super().__init__(name=name, **options)
        self.margin = margin

    def call(self, positive: Any, negative: Any) -> Any:
        """The loss of each triplet, (m,)."""
        return ops.relu(positive - negative + self.margin)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this loss again."""
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable(package="diptych")
class TripletBatchLoss(InBatchLoss):
    """The positive nearer to the anchor than the negative, by ``margin``, in mined triplets.

    A term is ``max(positive - negative + margin, 0)``, of the anchor's distances to both.
    The mining chooses the terms:

    ``all``: every triplet of the batch with a loss above 0; the others do not count. Takes
      n x n x n memory, which is little for one P x K batch: 8 MB a tensor for 128 examples.
    ``hard``: for each anchor, its farthest positive and its nearest negative.
    ``semi_hard``: for each anchor and positive, the nearest of the negatives that are farther than
      the positive; where none is, the farthest negative.

    Hermans, Beyer & Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017
    (arXiv 1703.07737), eq. 5 (hard) and 6 (all, with the mean over losses above 0).
    Schroff, Kalenichenko & Philbin, "FaceNet", CVPR 2015, eq. 4 (semi-hard), with the farthest
    negative in default of another as in TensorFlow Addons. Two changes: squared or not is the
    choice of the distance; and means in place of sums.

    Args:
      margin: in the unit of the distance.
      mining: all, hard or semi_hard.
      distance: between two embeddings; Euclidean by default.

    Call arguments, ``terms``, errors: as ``InBatchLoss``. Values are >= 0; lower is better.

    Raises:
      ValueError: ``margin`` is not positive, or ``mining`` is none of the three.
    """

    def __init__(
        self,
        margin: float = 0.2,
        mining: str = "semi_hard",
        distance: PairDistance | None = None,
        name: str = "triplet_batch_loss",
        **options: Any,
    ) -> None:
        require_positive(margin=margin)
        if mining not in _MINING:
            raise ValueError(f"mining must be one of {', '.join(_MINING)}, got {mining}.")
        super().__init__(name=name, **options)
        self.margin = margin
        self.mining = mining
        self.distance = distance or EuclideanDistance()

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this loss again."""
        return {
            **super().get_config(),
            "margin": self.margin,
            "mining": self.mining,
            "distance": keras.saving.serialize_keras_object(self.distance),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TripletBatchLoss":
        """Makes the loss, and its distance, again."""
        distance = keras.saving.deserialize_keras_object(config["distance"])
        return cls(**{**config, "distance": distance})

    def _terms(self, embeddings: Any, same: Any, different: Any) -> tuple[Any, Any]:
        distance = self.distance.pairwise(embeddings)
        return _MINING[self.mining](distance, same, different, self.margin)


def _all(distance: Any, same: Any, different: Any, margin: float) -> tuple[Any, Any]:
    triplets = ops.logical_and(
        same[:, :, None], different[:, None, :]
    )  # anchor, positive, negative
    losses = ops.relu(distance[:, :, None] - distance[:, None, :] + margin)
    losses = ops.where(triplets, losses, 0.0)
    return ops.sum(losses, axis=(1, 2)), ops.sum(ops.cast(losses > 0.0, "float32"), axis=(1, 2))


def _hard(distance: Any, same: Any, different: Any, margin: float) -> tuple[Any, Any]:
    positive, negative = highest(distance, same), lowest(distance, different)
    return one_term_each(ops.relu(positive - negative + margin), same)


def _semi_hard(distance: Any, same: Any, different: Any, margin: float) -> tuple[Any, Any]:
    negatives = ops.sort(ops.where(different, distance, float("inf")), axis=1)
    # How many negatives are at most as far as the positive: the place of the first that is
    # farther. Keras's own searchsorted takes one row; TensorFlow's takes all.
    place = tf.searchsorted(negatives, distance, side="right")
    last = ops.shape(distance)[1] - 1
    nearest = ops.take_along_axis(negatives, ops.minimum(place, last), axis=1)
    there = place < ops.sum(ops.cast(different, "int32"), axis=1, keepdims=True)
    negative = ops.where(there, nearest, highest(distance, different)[:, None])
    losses = ops.where(same, ops.relu(distance - negative + margin), 0.0)
    return ops.sum(losses, axis=1), ops.sum(ops.cast(same, "float32"), axis=1)


_MINING: dict[str, Callable[[Any, Any, Any, float], tuple[Any, Any]]] = {
    "all": _all,
    "hard": _hard,
    "semi_hard": _semi_hard,
}
