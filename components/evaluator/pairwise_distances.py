"""Exact distances between embeddings, ranked as by the exported model."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from diptych.schemas.config.model import Distance

F32 = npt.NDArray[np.float32]

# Added to squared lengths, as in the model's distances, for embeddings that are all 0.
_EPSILON = 1e-12
# Floor of a squared distance, relative to the largest squared length. It is above the float64
# rounding error between equal embeddings, and far below the squared distance of any two float32
# embeddings that differ.
_ROUNDING = 1e-13


class EmbeddingDistance(Protocol):
    """Distance between embeddings; implemented by ``ExportedModel``."""

    @property
    def distance_name(self) -> Distance:
        """Name of the distance."""

    @property
    def distance_weights(self) -> F32 | None:
        """(size,) weights of a learned distance; None for other distances."""

    def distance(self, left: F32, right: F32) -> F32:
        """Compute (m,) row-wise distances of (m, size) embeddings; lower is more similar."""


class PairwiseDistances:
    """Distances from some embeddings to all, monotonic in the model's distance.

    Only the ranking equals that of the model's distance, the values differ:

    - Euclidean distances are squared.
    - The cosine distance is the squared distance of unit vectors.
    - The learned distance is its negated logit, because its sigmoid rounds to 1 in float32 for all
      distant pairs.

    Squared distances are computed by float64 matrix products of centred embeddings. They are exact
    to the precision of the embeddings, and all pairs of equal embeddings have the same value.

    Args:
      embeddings: (n, size) embeddings.
      distance_name: Name of the model's distance.
      weights: (size,) weights of a learned distance; None for other distances.
    """

    def __init__(
        self, embeddings: F32, distance_name: Distance, weights: F32 | None = None
    ) -> None:
        # (sign, (n, dimensions)) terms: Manhattan distances to add up.
        self._manhattan_terms: list[tuple[int, F32]] = []
        self._centred: npt.NDArray[np.float64] | None = None
        if distance_name == "manhattan":
            self._manhattan_terms = [(1, embeddings)]
        elif distance_name == "learned_l1":
            assert weights is not None  # stored in the exported model
            for sign in (1, -1):  # a positive weight makes different values count as similar
                chosen = -sign * weights > 0
                scaled = embeddings[:, chosen] * np.abs(weights[chosen])
                self._manhattan_terms.append((sign, scaled))
        else:
            exact = embeddings.astype(np.float64)
            if distance_name == "cosine":
                exact /= np.sqrt(np.square(exact).sum(axis=1, keepdims=True) + _EPSILON)
            # |a|^2 + |b|^2 - 2ab is accurate only near the origin; distances are unaffected by a
            # shift.
            self._centred = exact - exact.mean(axis=0)
            self._squared_lengths = np.square(self._centred).sum(axis=1)
            self._min_squared = _ROUNDING * self._squared_lengths.max()
        self._count = len(embeddings)

    def from_rows(self, rows: npt.NDArray[np.int64]) -> F32:
        """Compute the (m, n) distances from m rows to all n embeddings."""
        if self._centred is not None:
            squared = self._centred[rows] @ self._centred.T
            squared *= -2.0
            squared += self._squared_lengths[rows, None]
            squared += self._squared_lengths
            np.maximum(squared, self._min_squared, out=squared)
            return squared.astype(np.float32)
        import faiss

        total: F32 = np.zeros((len(rows), self._count), np.float32)
        for sign, values in self._manhattan_terms:
            if values.shape[1]:
                total += sign * faiss.pairwise_distances(
                    values[rows], values, metric=faiss.METRIC_L1
                )
        return total
