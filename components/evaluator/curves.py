"""Verification metrics at every threshold, for many pair weightings at once.

scikit-learn computes these metrics for one weighting per call; the bootstrap needs a thousand. Here
the pairs are sorted once, and all metrics follow from cumulative sums of the weights.

An operating point is a threshold between two different distances. Point 0 accepts no pair, point i
accepts the pairs with the i smallest distinct distances, and the last point accepts all pairs.
"""

import dataclasses

import numpy as np

from diptych.components.evaluator.scored_pairs import ScoredPairs


class SortedPairs:
    """Pairs sorted by distance.

    Attributes:
      left: (m,) example rows, in order of increasing distance.
      right: (m,) example rows, in the same order.
    """

    def __init__(self, pairs: ScoredPairs) -> None:
        order = np.argsort(pairs.distance, kind="stable")
        distance = pairs.distance[order]
        self.left, self.right = pairs.left[order], pairs.right[order]
        self._is_positive = pairs.is_positive[order]
        # A threshold cannot separate equal distances: it lies after the last of them.
        last = np.append(np.flatnonzero(distance[1:] > distance[:-1]), len(distance) - 1)
        self._distances = distance[last]
        has_ties = len(last) < len(distance)
        self._point_ends = np.append(0, last + 1) if has_ties else None

    def operating_point(self, threshold: float) -> int:
        """Return the operating point of ``distance <= threshold``."""
        # Compare in the precision of the distances, as ``distance <= threshold`` does.
        rounded = self._distances.dtype.type(threshold)
        return int(np.searchsorted(self._distances, rounded, side="right"))

    def count_accepted(self, weights: np.ndarray) -> "AcceptedCounts":
        """Sum the weights of the accepted pairs at each operating point.

        Args:
          weights: (r, m) int64 pair weights, in the order of ``left`` and ``right``.
        """
        accepted = self._cumulative(weights)
        true_positives = self._cumulative(weights * self._is_positive)
        return AcceptedCounts(true_positives, accepted - true_positives)

    def _cumulative(self, weights: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(weights), weights.shape[1] + 1), np.int64)
        np.cumsum(weights, axis=1, out=sums[:, 1:])
        return sums if self._point_ends is None else np.take(sums, self._point_ends, axis=1)


@dataclasses.dataclass(frozen=True)
class AcceptedCounts:
    """Weighted counts of accepted pairs at each operating point.

    All metrics are (r,) float64, NaN where undefined.

    Attributes:
      true_positives: (r, points) accepted positive pairs.
      false_positives: (r, points) accepted negative pairs.
    """

    true_positives: np.ndarray
    false_positives: np.ndarray

    def accuracy(self, point: int) -> np.ndarray:
        """Fraction of the pairs that are classified correctly."""
        true_negatives = self._negatives - self.false_positives[:, point]
        correct = self.true_positives[:, point] + true_negatives
        return _divide_or_nan(correct, self._positives + self._negatives)

    def precision(self, point: int) -> np.ndarray:
        """Fraction of positive pairs among the accepted pairs."""
        true_positives = self.true_positives[:, point]
        return _divide_or_nan(true_positives, true_positives + self.false_positives[:, point])

    def recall(self, point: int) -> np.ndarray:
        """Fraction of the positive pairs that are accepted."""
        return _divide_or_nan(self.true_positives[:, point], self._positives)

    def f1(self, point: int) -> np.ndarray:
        """Harmonic mean of precision and recall."""
        accepted = self.true_positives[:, point] + self.false_positives[:, point]
        return _divide_or_nan(2 * self.true_positives[:, point], accepted + self._positives)

    def roc_auc(self) -> np.ndarray:
        """Probability that a positive pair is nearer than a negative one; ties count half."""
        # Each negative pair counts the positive pairs at smaller distances, plus half of those at
        # the same distance.
        wins = np.einsum(
            "rp,rp->r",
            np.diff(self.false_positives, axis=1),
            self.true_positives[:, 1:] + self.true_positives[:, :-1],
        )
        # In float64, because the product of the totals may exceed int64.
        return _divide_or_nan(wins / 2, self._positives.astype(np.float64) * self._negatives)

    def rates(self) -> tuple[np.ndarray, np.ndarray]:
        """False accept rate and true accept rate, (r, points) each.

        Rows without positive or without negative pairs are NaN.
        """
        has_both = np.minimum(self._positives, self._negatives)[:, None] > 0
        return (
            _divide_or_nan(self.false_positives, self._negatives[:, None] * has_both),
            _divide_or_nan(self.true_positives, self._positives[:, None] * has_both),
        )

    @property
    def _positives(self) -> np.ndarray:
        return self.true_positives[:, -1]

    @property
    def _negatives(self) -> np.ndarray:
        return self.false_positives[:, -1]


def equal_error_rate(false_accepts: np.ndarray, true_accepts: np.ndarray) -> np.ndarray:
    """Compute the rate at which false accept rate and false reject rate are equal.

    Between two operating points the rates are interpolated linearly, as in a plot of
    ``sklearn.metrics.roc_curve``.

    Args:
      false_accepts: (r, points) false accept rates, from 0 to 1.
      true_accepts: (r, points) true accept rates, from 0 to 1.

    Returns:
      (r,) rates, NaN where an input row is NaN.
    """
    excess = false_accepts + true_accepts - 1.0  # false accepts minus false rejects, from -1 to 1
    row = np.arange(len(excess))
    after = np.clip(np.count_nonzero(excess < 0, axis=1), 1, excess.shape[1] - 1)
    before = after - 1
    fraction = -excess[row, before] / (excess[row, after] - excess[row, before])
    low, high = false_accepts[row, before], false_accepts[row, after]
    rate: np.ndarray = low + fraction * (high - low)
    return rate


def operating_point_at_far(false_accepts: np.ndarray, max_rate: float) -> np.ndarray:
    """Find the last operating point with a false accept rate of at most ``max_rate``.

    Rates are not interpolated.

    Args:
      false_accepts: (r, points) false accept rates, from 0 to 1.
      max_rate: Highest false accept rate allowed.

    Returns:
      (r,) operating points.
    """
    point: np.ndarray = np.maximum(np.count_nonzero(false_accepts <= max_rate, axis=1) - 1, 0)
    return point


def _divide_or_nan(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: np.ndarray = np.where(denominator > 0, numerator / denominator, np.nan)
    return ratio
