"""Losses over the distance of pairs."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="diptych")
class ContrastiveLoss(keras.losses.Loss):
    """Pulls same pairs together, pushes different pairs ``margin`` apart.

    With distance d and label y: ``y * d**2 + (1 - y) * max(margin - d, 0)**2``.

    Hadsell, Chopra & LeCun, "Dimensionality Reduction by Learning an Invariant Mapping",
    CVPR 2006, eq. 4. Two changes: y is 1 for a same pair (0 in the paper), and the factor 1/2
    is left out.

    Args:
      margin: distance at which a different pair costs nothing, in the unit of the predictions.
        Unit-length embeddings are at most 2 apart, so use (0, 2] with them.

    Call arguments:
      y_true: (batch,), 1 for a same pair, 0 for a different one.
      y_pred: (batch,), Euclidean distances, >= 0. Not similarities: lower is more alike.

    Raises:
      ValueError: ``margin`` is not positive, or the shapes differ: (batch,) with (batch, 1)
        would broadcast to (batch, batch) and train on every combination.
    """

    def __init__(self, margin: float = 1.0, name: str = "contrastive_loss", **options: Any) -> None:
        if not margin > 0:
            raise ValueError(f"margin must be above 0, got {margin}.")
        super().__init__(name=name, **options)
        self.margin = margin

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Checks the ranks before Keras squeezes or broadcasts one of them."""
        if len(y_true.shape) != 1 or len(y_pred.shape) != 1:
            raise ValueError(
                "ContrastiveLoss needs labels and distances of shape (batch,), got "
                f"{tuple(y_true.shape)} and {tuple(y_pred.shape)}. Reshape both to one axis."
            )
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each pair, (batch,)."""
        same = ops.cast(y_true, y_pred.dtype)
        apart = ops.maximum(self.margin - y_pred, 0.0)
        return same * ops.square(y_pred) + (1.0 - same) * ops.square(apart)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this loss again."""
        return {**super().get_config(), "margin": self.margin}


def euclidean_distance(left: Any, right: Any) -> Any:
    """Euclidean distance of each row of ``left`` to the same row of ``right``.

    Args:
      left: (batch, size) embeddings.
      right: (batch, size) embeddings.

    Returns:
      (batch,), >= 0; lower is more alike; at most 2 for embeddings of length 1.
    """
    squared = ops.sum(ops.square(left - right), axis=-1)
    # The derivative of the square root at 0 is infinite: two equal embeddings would give NaN. A
    # maximum in place of the sum would hide a NaN that comes from elsewhere.
    return ops.sqrt(squared + 1e-12)
