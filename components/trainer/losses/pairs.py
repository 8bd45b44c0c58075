"""Losses over pairs, computed from a distance or the log-odds of each pair."""

from typing import Any

import keras
from keras import ops

from diptych.components.trainer.argument_checks import require_positive, shapes_compatible
from diptych.schemas.shards import POSITIVE


class ElementwiseLoss(keras.losses.Loss):
    """Base class of losses over two arrays of shape (m,).

    With ``reduction="none"``, a call returns the value of each row, so that the caller can weight
    them: L = 1/m sum_i w_i L_i.

    Raises:
      ValueError: If the shapes differ or are not (m,): (m,) and (m, 1) would broadcast to (m, m)
        and train on every combination.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Check the shapes before Keras squeezes or broadcasts one of them."""
        if not shapes_compatible(y_true.shape, y_pred.shape, rank=1):
            raise ValueError(
                f"{type(self).__name__} expects two arguments of the same shape (m,), got "
                f"{tuple(y_true.shape)} and {tuple(y_pred.shape)}. Reshape both to one axis."
            )
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)


@keras.saving.register_keras_serializable(package="diptych")
class ContrastiveLoss(ElementwiseLoss):
    """Pull positive pairs together and push negative pairs ``margin`` apart.

    With distance d and label y: ``y * d**2 + (1 - y) * max(margin - d, 0)**2``.

    Hadsell, Chopra & LeCun, "Dimensionality Reduction by Learning an Invariant Mapping",
    CVPR 2006, eq. 4. Two differences: y is 1 for a positive pair (0 in the paper), and the factor
    1/2 is omitted.

    Args:
      margin: Distance beyond which a negative pair has no loss, in the unit of the predictions.
        Unit-length embeddings are at most 2 apart, so use (0, 2] with their Euclidean distance.

    Call arguments:
      y_true: (m,), 1 for positive pairs, 0 for negative pairs.
      y_pred: (m,), distances, >= 0. Not similarities: lower means more similar.

    Values are >= 0; lower is better.

    Raises:
      ValueError: If ``margin`` is not positive, or a shape is not (m,).
    """

    def __init__(self, margin: float = 1.0, name: str = "contrastive_loss", **kwargs: Any) -> None:
        require_positive(margin=margin)
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Compute the loss of each pair, (m,)."""
        missing_margin = ops.relu(self.margin - y_pred)
        return ops.where(
            ops.equal(y_true, POSITIVE), ops.square(y_pred), ops.square(missing_margin)
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable(package="diptych")
class CosineEmbeddingLoss(ElementwiseLoss):
    """Pull positive pairs to a cosine of 1, and push negative pairs to ``margin`` or below.

    With cosine c and label y: ``y * (1 - c) + (1 - y) * max(c - margin, 0)``.

    Like ``CosineEmbeddingLoss`` of PyTorch. Two differences: the input is the distance d = 1 - c,
    because for all losses here lower means more similar; and y is 0 for a negative pair
    (-1 in PyTorch).

    Args:
      margin: Cosine, in [-1, 1), below which a negative pair has no loss.

    Call arguments:
      y_true: (m,), 1 for positive pairs, 0 for negative pairs.
      y_pred: (m,), cosine distances, in [0, 2], as from ``CosineDistance``. Not cosines.

    Values are in [0, 2]; lower is better.

    Raises:
      ValueError: If ``margin`` is not in [-1, 1), or a shape is not (m,).
    """

    def __init__(
        self, margin: float = 0.5, name: str = "cosine_embedding_loss", **kwargs: Any
    ) -> None:
        if not -1 <= margin < 1:
            raise ValueError(f"margin must be a cosine, at least -1 and below 1, got {margin}.")
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Compute the loss of each pair, (m,)."""
        excess = ops.relu(1.0 - y_pred - self.margin)
        return ops.where(ops.equal(y_true, POSITIVE), y_pred, excess)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable(package="diptych")
class BinaryCrossEntropyLoss(ElementwiseLoss):
    """Cross-entropy of the two classes same and different, from log-odds.

    With log-odds z and label y: ``-y * log(sigmoid(z)) - (1 - y) * log(1 - sigmoid(z))``.

    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", ICML
    Deep Learning Workshop 2015, section 3.2, without the regularizer. ``BinaryCrossentropy`` of
    Keras takes the mean over the last axis, so for (m,) it returns no value per pair to weight.

    Call arguments:
      y_true: (m,), 1 for positive pairs, 0 for negative pairs.
      y_pred: (m,), log-odds of same, as from ``LearnedL1Distance.logit``: higher means more
        similar. Not distances, not probabilities.

    Values are >= 0; lower is better.

    Raises:
      ValueError: If a shape is not (m,).
    """

    def __init__(self, name: str = "binary_cross_entropy_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Compute the loss of each pair, (m,)."""
        # -log(sigmoid(z)) equals softplus(-z), which neither overflows nor rounds to log(0).
        return ops.softplus(ops.where(ops.equal(y_true, POSITIVE), -y_pred, y_pred))
