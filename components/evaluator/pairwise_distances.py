"""Distances of some embeddings to all, as the exported model orders them."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from diptych.schemas.config.model import Distance

F32 = npt.NDArray[np.float32]

# The same as in the model's distances, for an embedding that is all 0.
_TINY = 1e-12
# Of the largest square: what the rounding of float64 leaves of the distance of two equal
# embeddings, and far below that of two float32 ones that differ anywhere.
_ROUNDING = 1e-13


class Measure(Protocol):
    """How a model measures embeddings; an ``ExportedModel`` is one."""

    @property
    def measured_by(self) -> Distance:
        """The kind of its distance."""

    @property
    def distance_weights(self) -> F32 | None:
        """(size,) weights of the parts of an embedding in a learned distance; None in others."""

    def distance(self, left: F32, right: F32) -> F32:
        """(m,) distances of (m, size) embeddings row by row; lower is more alike."""


class Nearness:
    """Distances between embeddings, in the order in which the model's own distance puts them.

    Euclidean ones are given squared, that of cosines as the square of unit vectors, and the learned
    one as its logit turned round: its sigmoid is 1 in float32 for all that are far apart. Squares
    are sums of products in float64 around the mean: exact to the last digits of the embeddings, and
    those of equal embeddings are equal.

    Args:
      embeddings: (n, size).
      measured_by: the kind of the model's distance.
      weights: (size,) of the parts of a learned distance; None for others.
    """

    def __init__(self, embeddings: F32, measured_by: Distance, weights: F32 | None = None) -> None:
        # (sign, (n, parts)): Manhattan distances to add up.
        self._absolute: list[tuple[int, F32]] = []
        self._centred: npt.NDArray[np.float64] | None = None
        if measured_by == "manhattan":
            self._absolute = [(1, embeddings)]
        elif measured_by == "learned_l1":
            assert weights is not None  # the exported model names them
            for sign in (1, -1):  # where a weight is above 0, unlike parts speak for the same
                chosen = -sign * weights > 0
                self._absolute.append((sign, embeddings[:, chosen] * np.abs(weights[chosen])))
        else:
            exact = embeddings.astype(np.float64)
            if measured_by == "cosine":
                exact /= np.sqrt(np.square(exact).sum(axis=1, keepdims=True) + _TINY)
            # |a|^2 + |b|^2 - 2ab is exact only near the origin, and distances do not depend on it.
            self._centred = exact - exact.mean(axis=0)
            self._squares = np.square(self._centred).sum(axis=1)
            self._least = _ROUNDING * self._squares.max()
        self._count = len(embeddings)

    def of(self, rows: npt.NDArray[np.int64]) -> F32:
        """(m, n): of m of the embeddings to all n."""
        if self._centred is not None:
            squares = self._centred[rows] @ self._centred.T
            squares *= -2.0
            squares += self._squares[rows, None]
            squares += self._squares
            np.maximum(squares, self._least, out=squares)
            return squares.astype(np.float32)
        import faiss

        total: F32 = np.zeros((len(rows), self._count), np.float32)
        for sign, values in self._absolute:
            if values.shape[1]:
                total += sign * faiss.pairwise_distances(
                    values[rows], values, metric=faiss.METRIC_L1
                )
        return total
