"""Distances between two embeddings. Every one is lower for the more alike."""

import math
from typing import Any

import keras
from keras import layers, ops

from diptych.components.trainer.argument_checks import shapes_match
from diptych.schemas.config.model import Distance

# The derivative of the square root at 0 is infinite: two equal embeddings would give NaN. A maximum
# in place of the sum would hide a NaN that comes from elsewhere.
_TINY = 1e-12


def make_distance(name: Distance) -> "PairDistance":
    """The distance that the configuration names."""
    kinds = (
        EuclideanDistance,
        SquaredEuclideanDistance,
        ManhattanDistance,
        CosineDistance,
        LearnedL1,
    )
    return {kind.kind: kind for kind in kinds}[name]()


class PairDistance(layers.Layer):
    """A distance: the lower, the more alike. Computed in float32 under every precision.

    Attributes:
      kind: its name in the configuration and in the exported model.
      low: no distance is below.
      high: no distance is above, whatever the embeddings; infinite where there is no such.

    Call arguments:
      left: (m, size) embeddings.
      right: (m, size) embeddings.

    Returns:
      (m,) float32: of each row of ``left`` to the same row of ``right``.

    Raises:
      ValueError: the shapes differ, or are not of two axes.
    """

    kind: Distance
    low = 0.0
    high = math.inf

    def __init__(self, dtype: Any = "float32", **options: Any) -> None:
        super().__init__(dtype=dtype, **options)

    def build(self, left_shape: Any, right_shape: Any) -> None:
        """Makes the weights, if there are any, for embeddings (m, size) on both sides."""

    def call(self, left: Any, right: Any) -> Any:
        self._check(left, right)
        return self._between(left, right)

    def pairwise(self, embeddings: Any) -> Any:
        """(n, n) float32: of each row of ``embeddings`` (n, size) to each.

        Memory: n x n x size numbers, where a class does not say better.
        """
        embeddings = _rows(embeddings)
        return self._between(embeddings[:, None, :], embeddings[None, :, :])

    def _check(self, left: Any, right: Any) -> None:
        if not shapes_match(left.shape, right.shape, rank=2):
            raise ValueError(
                f"{type(self).__name__} needs embeddings of one shape (m, size) on both sides, got "
                f"{tuple(left.shape)} and {tuple(right.shape)}."
            )

    def _between(self, left: Any, right: Any) -> Any:
        """Over the last axis; the others broadcast."""
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="diptych")
class EuclideanDistance(PairDistance):
    """``sqrt(sum((left - right)**2))``, in [0, inf); at most 2 for embeddings of length 1.

    Two equal embeddings are 1e-6 apart, so that the gradient there is 0 and not NaN.
    ``pairwise`` takes n x n memory.
    """

    kind = "euclidean"

    def pairwise(self, embeddings: Any) -> Any:
        return ops.sqrt(_pairwise_squares(_rows(embeddings)) + _TINY)

    def _between(self, left: Any, right: Any) -> Any:
        return ops.sqrt(ops.sum(ops.square(left - right), axis=-1) + _TINY)


@keras.saving.register_keras_serializable(package="diptych")
class SquaredEuclideanDistance(PairDistance):
    """``sum((left - right)**2)``, in [0, inf); at most 4 for embeddings of length 1.

    ``pairwise`` takes n x n memory.
    """

    kind = "squared_euclidean"

    def pairwise(self, embeddings: Any) -> Any:
        return _pairwise_squares(_rows(embeddings))

    def _between(self, left: Any, right: Any) -> Any:
        return ops.sum(ops.square(left - right), axis=-1)


@keras.saving.register_keras_serializable(package="diptych")
class ManhattanDistance(PairDistance):
    """``sum(abs(left - right))``, in [0, inf); at most 2 sqrt(size) for embeddings of length 1."""

    kind = "manhattan"

    def _between(self, left: Any, right: Any) -> Any:
        return ops.sum(ops.abs(left - right), axis=-1)


@keras.saving.register_keras_serializable(package="diptych")
class CosineDistance(PairDistance):
    """``1 - cos(left, right)``, in [0, 2]: 1 at a right angle, 2 for opposite directions.

    Embeddings are brought to length 1 here. Of these it is half the squared Euclidean distance, and
    computed so: rounding makes ``1 - cos`` negative for two that are nearly equal. An embedding
    of length 0 has no direction; its distance is 1/2. ``pairwise`` takes n x n memory.
    """

    kind = "cosine"
    high = 2.0

    def pairwise(self, embeddings: Any) -> Any:
        return _pairwise_squares(unit_length(_rows(embeddings))) / 2.0

    def _between(self, left: Any, right: Any) -> Any:
        return ops.sum(ops.square(unit_length(left) - unit_length(right)), axis=-1) / 2.0


@keras.saving.register_keras_serializable(package="diptych")
class LearnedL1(PairDistance):
    """Probability that two embeddings differ, in [0, 1], of a learned weighing of their parts.

    ``sigmoid(-logit)`` with ``logit = sum(weight * abs(left - right)) + bias``.

    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", ICML
    Deep Learning Workshop 2015, section 3.1. Two changes: there the output is the probability of
    the same, here that of different; and there is a bias.
    """

    kind = "learned_l1"
    high = 1.0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._weighing = layers.Dense(1, dtype=self.dtype_policy, name="weighing")

    def build(self, left_shape: Any, right_shape: Any) -> None:
        self._weighing.build(left_shape)

    @property
    def weights_of_parts(self) -> list[float]:
        """The weight of each part of an embedding; below 0 where unlikeness there tells apart.

        The layer must have been built.
        """
        weights: list[float] = ops.convert_to_numpy(self._weighing.kernel)[:, 0].tolist()
        return weights

    def logit(self, left: Any, right: Any) -> Any:
        """Log-odds of the same, (m,): higher is more alike. What cross-entropy is trained on.

        The layer must have been built. Arguments and errors are those of a call.
        """
        self._check(left, right)
        return self._logit(ops.cast(left, "float32"), ops.cast(right, "float32"))

    def _between(self, left: Any, right: Any) -> Any:
        return ops.sigmoid(-self._logit(left, right))

    def _logit(self, left: Any, right: Any) -> Any:
        return ops.squeeze(self._weighing(ops.abs(left - right)), axis=-1)


def unit_length(embeddings: Any) -> Any:
    """The rows of ``embeddings`` (n, size), brought to length 1; a row of length 0 stays as it is.

    Lengths should be well above 1e-6.
    """
    squares = ops.sum(ops.square(embeddings), axis=-1, keepdims=True)
    return embeddings * ops.rsqrt(squares + _TINY)


def _rows(embeddings: Any) -> Any:
    if len(embeddings.shape) != 2:
        raise ValueError(
            f"Pairwise distances need embeddings of shape (n, size), got {tuple(embeddings.shape)}."
        )
    return ops.cast(embeddings, "float32")


def _pairwise_squares(embeddings: Any) -> Any:
    """Squared Euclidean distances of all rows, (n, n), in n x n memory."""
    # Distances do not change with the origin, but |a|^2 + |b|^2 - 2ab is exact only near it.
    embeddings = embeddings - ops.stop_gradient(ops.mean(embeddings, axis=0))
    products = ops.matmul(embeddings, ops.transpose(embeddings))
    squares = ops.diagonal(products)
    between = squares[:, None] + squares[None, :] - 2.0 * products
    return ops.where(between < 0.0, 0.0, between)  # by rounding; a NaN stays
