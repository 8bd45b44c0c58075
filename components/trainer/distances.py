"""Distances between two embeddings. For all of them, lower means more similar."""

import math
from typing import Any

import keras
from keras import layers, ops

from diptych.components.trainer.argument_checks import shapes_compatible
from diptych.schemas.config.model import Distance

# The derivative of the square root at 0 is infinite: two equal embeddings would have a NaN
# gradient. A maximum instead of the sum would hide a NaN from another source.
_EPSILON = 1e-12


def make_distance(name: Distance) -> "PairDistance":
    """Create a distance by its name in the configuration."""
    classes = (
        EuclideanDistance,
        SquaredEuclideanDistance,
        ManhattanDistance,
        CosineDistance,
        LearnedL1Distance,
    )
    return {distance.distance_name: distance for distance in classes}[name]()


class PairDistance(layers.Layer):
    """Base class of the distances; lower means more similar.

    Distances are computed in float32 under every dtype policy.

    Attributes:
      distance_name: Name in the configuration and in the model card.
      lower_bound: Lower bound of the distance.
      upper_bound: Upper bound for any embeddings; infinite if unbounded.

    Call arguments:
      left: (m, size) embeddings.
      right: (m, size) embeddings.

    Returns:
      (m,) float32, the distance from each row of ``left`` to the same row of ``right``.

    Raises:
      ValueError: If the shapes differ or do not have two axes.
    """

    distance_name: Distance
    lower_bound = 0.0
    upper_bound = math.inf

    def __init__(self, dtype: Any = "float32", **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)

    def build(self, left_shape: Any, right_shape: Any) -> None:
        """Create the weights, if any, for embeddings of shape (m, size) on both sides."""

    def call(self, left: Any, right: Any) -> Any:
        self._check_shapes(left, right)
        return self._compute(left, right)

    def pairwise(self, embeddings: Any) -> Any:
        """Compute the distances between all rows of ``embeddings`` (n, size): (n, n) float32.

        Memory: n x n x size numbers, unless a subclass documents less.
        """
        embeddings = _check_rank(embeddings)
        return self._compute(embeddings[:, None, :], embeddings[None, :, :])

    def _check_shapes(self, left: Any, right: Any) -> None:
        if not shapes_compatible(left.shape, right.shape, rank=2):
            raise ValueError(
                f"{type(self).__name__} expects embeddings of the same shape (m, size) on both "
                f"sides, got {tuple(left.shape)} and {tuple(right.shape)}."
            )

    def _compute(self, left: Any, right: Any) -> Any:
        """Reduce the last axis; the other axes broadcast."""
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="diptych")
class EuclideanDistance(PairDistance):
    """``sqrt(sum((left - right)**2))``, in [0, inf); at most 2 for unit-length embeddings.

    Two equal embeddings have a distance of 1e-6, so that the gradient there is 0 instead of NaN.
    ``pairwise`` takes n x n memory.
    """

    distance_name = "euclidean"

    def pairwise(self, embeddings: Any) -> Any:
        return ops.sqrt(_pairwise_squared_euclidean(_check_rank(embeddings)) + _EPSILON)

    def _compute(self, left: Any, right: Any) -> Any:
        return ops.sqrt(ops.sum(ops.square(left - right), axis=-1) + _EPSILON)


@keras.saving.register_keras_serializable(package="diptych")
class SquaredEuclideanDistance(PairDistance):
    """``sum((left - right)**2)``, in [0, inf); at most 4 for unit-length embeddings.

    ``pairwise`` takes n x n memory.
    """

    distance_name = "squared_euclidean"

    def pairwise(self, embeddings: Any) -> Any:
        return _pairwise_squared_euclidean(_check_rank(embeddings))

    def _compute(self, left: Any, right: Any) -> Any:
        return ops.sum(ops.square(left - right), axis=-1)


@keras.saving.register_keras_serializable(package="diptych")
class ManhattanDistance(PairDistance):
    """``sum(abs(left - right))``, in [0, inf); at most 2 sqrt(size) for unit-length embeddings."""

    distance_name = "manhattan"

    def _compute(self, left: Any, right: Any) -> Any:
        return ops.sum(ops.abs(left - right), axis=-1)


@keras.saving.register_keras_serializable(package="diptych")
class CosineDistance(PairDistance):
    """``1 - cos(left, right)``, in [0, 2]: 1 at a right angle, 2 for opposite directions.

    Embeddings are normalized to unit length. The distance is computed as half of their squared
    Euclidean distance, because ``1 - cos`` of two nearly equal embeddings can be negative after
    rounding. An embedding of length 0 has no direction; its distance is 1/2. ``pairwise`` takes
    n x n memory.
    """

    distance_name = "cosine"
    upper_bound = 2.0

    def pairwise(self, embeddings: Any) -> Any:
        return _pairwise_squared_euclidean(l2_normalize(_check_rank(embeddings))) / 2.0

    def _compute(self, left: Any, right: Any) -> Any:
        return ops.sum(ops.square(l2_normalize(left) - l2_normalize(right)), axis=-1) / 2.0


@keras.saving.register_keras_serializable(package="diptych")
class LearnedL1Distance(PairDistance):
    """Probability that two embeddings differ, in [0, 1], from a learned weighted L1 distance.

    ``sigmoid(-logit)`` with ``logit = sum(weight * abs(left - right)) + bias``.

    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", ICML
    Deep Learning Workshop 2015, section 3.1. Two differences: the output is the probability of
    different instead of same, and there is a bias.
    """

    distance_name = "learned_l1"
    upper_bound = 1.0

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dense = layers.Dense(1, dtype=self.dtype_policy, name="l1_weights")

    def build(self, left_shape: Any, right_shape: Any) -> None:
        self._dense.build(left_shape)

    @property
    def dimension_weights(self) -> list[float]:
        """Weight of each embedding dimension; negative if a difference there means different.

        The layer must be built.
        """
        weights: list[float] = ops.convert_to_numpy(self._dense.kernel)[:, 0].tolist()
        return weights

    def logit(self, left: Any, right: Any) -> Any:
        """Compute the log-odds (m,) of same, the input of the cross-entropy loss.

        Higher means more similar. Arguments and errors are the same as for a call. The layer must
        be built.
        """
        self._check_shapes(left, right)
        return self._compute_logit(ops.cast(left, "float32"), ops.cast(right, "float32"))

    def _compute(self, left: Any, right: Any) -> Any:
        return ops.sigmoid(-self._compute_logit(left, right))

    def _compute_logit(self, left: Any, right: Any) -> Any:
        return ops.squeeze(self._dense(ops.abs(left - right)), axis=-1)


def l2_normalize(embeddings: Any) -> Any:
    """Scale the rows of ``embeddings`` (n, size) to unit length; rows of length 0 stay unchanged.

    Lengths should be well above 1e-6.
    """
    squares = ops.sum(ops.square(embeddings), axis=-1, keepdims=True)
    return embeddings * ops.rsqrt(squares + _EPSILON)


def _check_rank(embeddings: Any) -> Any:
    if len(embeddings.shape) != 2:
        raise ValueError(
            "Pairwise distances expect embeddings of shape (n, size), got "
            f"{tuple(embeddings.shape)}."
        )
    return ops.cast(embeddings, "float32")


def _pairwise_squared_euclidean(embeddings: Any) -> Any:
    """Compute the squared Euclidean distances (n, n) between all rows, in n x n memory."""
    # Distances do not depend on the origin, but |a|^2 + |b|^2 - 2ab is exact only near it.
    embeddings = embeddings - ops.stop_gradient(ops.mean(embeddings, axis=0))
    products = ops.matmul(embeddings, ops.transpose(embeddings))
    squares = ops.diagonal(products)
    distances = squares[:, None] + squares[None, :] - 2.0 * products
    return ops.where(distances < 0.0, 0.0, distances)  # negative by rounding; a NaN stays NaN
