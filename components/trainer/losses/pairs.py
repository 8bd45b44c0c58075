"""Losses of single pairs, of what is measured between the two embeddings of each."""

from typing import Any

import keras
from keras import ops

from diptych.components.trainer.argument_checks import require_positive, shapes_match
from diptych.schemas.shards import SAME


class RowLoss(keras.losses.Loss):
    """A loss of two numbers a row, both given as (m,).

    With ``reduction="none"`` it gives the value of each row, to be weighed by the caller:
    L = 1/m sum_i w_i L_i.

    Raises:
      ValueError: the shapes differ, or are not (m,): with (m, 1), (m,) would broadcast to
        (m, m) and train on every combination.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Checks the shapes before Keras squeezes or broadcasts one of them."""
        if not shapes_match(y_true.shape, y_pred.shape, rank=1):
            raise ValueError(
                f"{type(self).__name__} needs two arguments of one shape (m,), got "
                f"{tuple(y_true.shape)} and {tuple(y_pred.shape)}. Reshape both to one axis."
            )
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)


@keras.saving.register_keras_serializable(package="diptych")
class ContrastiveLoss(RowLoss):
    """Pulls same pairs together, pushes different pairs ``margin`` apart.

    With distance d and label y: ``y * d**2 + (1 - y) * max(margin - d, 0)**2``.

    Hadsell, Chopra & LeCun, "Dimensionality Reduction by Learning an Invariant Mapping",
    CVPR 2006, eq. 4. Two changes: y is 1 for a same pair (0 in the paper), and the factor 1/2
    is left out.

    Args:
      margin: distance at which a different pair costs nothing, in the unit of the predictions.
        Unit-length embeddings are at most 2 apart, so use (0, 2] with their Euclidean distance.

    Call arguments:
      y_true: (m,), 1 for a same pair, 0 for a different one.
      y_pred: (m,), distances, >= 0. Not similarities: lower is more alike.

    Values are >= 0; lower is better.

    Raises:
      ValueError: ``margin`` is not positive, or a shape is not (m,).
    """

    def __init__(self, margin: float = 1.0, name: str = "contrastive_loss", **options: Any) -> None:
        require_positive(margin=margin)
        super().__init__(name=name, **options)
        self.margin = margin

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each pair, (m,)."""
        apart = ops.relu(self.margin - y_pred)
        return ops.where(ops.equal(y_true, SAME), ops.square(y_pred), ops.square(apart))

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this loss again."""
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable(package="diptych")
class CosineEmbeddingLoss(RowLoss):
    """Pulls same pairs to a cosine of 1, pushes different pairs to ``margin`` or below.

    With cosine c and label y: ``y * (1 - c) + (1 - y) * max(c - margin, 0)``.

    As ``CosineEmbeddingLoss`` of PyTorch. Two changes: it is given the distance d = 1 - c, as
    every loss here takes what is lower for the more alike; and y is 0 for a different pair
    (-1 there).

    Args:
      margin: cosine, in [-1, 1), at which a different pair costs nothing.

    Call arguments:
      y_true: (m,), 1 for a same pair, 0 for a different one.
      y_pred: (m,), cosine distances, in [0, 2], as of ``CosineDistance``. Not cosines.

    Values are in [0, 2]; lower is better.

    Raises:
      ValueError: ``margin`` is not in [-1, 1), or a shape is not (m,).
    """

    def __init__(
        self, margin: float = 0.5, name: str = "cosine_embedding_loss", **options: Any
    ) -> None:
        if not -1 <= margin < 1:
            raise ValueError(f"margin must be a cosine, at least -1 and below 1, got {margin}.")
        super().__init__(name=name, **options)
        self.margin = margin

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each pair, (m,)."""
        too_alike = ops.relu(1.0 - y_pred - self.margin)
        return ops.where(ops.equal(y_true, SAME), y_pred, too_alike)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this loss again."""
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable(package="diptych")
class BinaryCrossEntropyLoss(RowLoss):
    """Cross-entropy of same or different as two classes, from log-odds.

    With log-odds z and label y: ``-y * log(sigmoid(z)) - (1 - y) * log(1 - sigmoid(z))``.

    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", ICML
    Deep Learning Workshop 2015, section 3.2, without the regulariser. Keras's own takes the mean
    over the last axis, which of (m,) leaves no value per pair to weigh.

    Call arguments:
      y_true: (m,), 1 for a same pair, 0 for a different one.
      y_pred: (m,), log-odds of the same: higher is more alike, as of ``LearnedL1.logit``. Not
        distances, not probabilities.

    Values are >= 0; lower is better.

    Raises:
      ValueError: a shape is not (m,).
    """

    def __init__(self, name: str = "binary_cross_entropy_loss", **options: Any) -> None:
        super().__init__(name=name, **options)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each pair, (m,)."""
        # -log(sigmoid(z)) is softplus(-z), which neither overflows nor rounds to log(0).
        return ops.softplus(ops.where(ops.equal(y_true, SAME), -y_pred, y_pred))
