"""Figures of verification at every threshold, for many weightings of the pairs at once.

scikit-learn has these figures for one weighting a call; the bootstrap wants a thousand. Here the
pairs are sorted once, and everything follows from cumulative sums of the weights.
"""

import dataclasses

import numpy as np

from diptych.components.evaluator.scored_pairs import Judged


class Ranked:
    """Pairs in the order of their distance.

    Attributes:
      left: (m,) rows of the examples, of the nearest pair first.
      right: (m,) likewise.
    """

    def __init__(self, judged: Judged) -> None:
        order = np.argsort(judged.distance, kind="stable")
        distance = judged.distance[order]
        self.left, self.right = judged.left[order], judged.right[order]
        self._is_same = judged.is_same[order]
        # Equal distances cannot be told apart: a threshold lies after the last of them.
        last = np.append(np.flatnonzero(distance[1:] > distance[:-1]), len(distance) - 1)
        self._distances = distance[last]
        self._cuts = None if len(last) == len(distance) else np.append(0, last + 1)

    def cut(self, threshold: float) -> int:
        """How many different distances are accepted at a threshold."""
        at = self._distances.dtype.type(threshold)  # as ``distance <= threshold`` compares
        return int(np.searchsorted(self._distances, at, side="right"))

    def accepted(self, weights: np.ndarray) -> "Accepted":
        """What is accepted at each cut.

        Args:
          weights: (r, m) int64, in the order of ``left`` and ``right``.
        """
        every = self._at_cuts(weights)
        same = self._at_cuts(weights * self._is_same)
        return Accepted(same, every - same)

    def _at_cuts(self, weights: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(weights), weights.shape[1] + 1), np.int64)
        np.cumsum(weights, axis=1, out=sums[:, 1:])
        return sums if self._cuts is None else np.take(sums, self._cuts, axis=1)


@dataclasses.dataclass(frozen=True)
class Accepted:
    """Weight of the same and of the different pairs that are accepted, by cut: both (r, cuts).

    At the first cut nothing is accepted, at the last all. A figure is (r,) float64, NaN where it
    does not exist.
    """

    same: np.ndarray
    different: np.ndarray

    def accuracy(self, cut: int) -> np.ndarray:
        """Share of the pairs told right."""
        right = self.same[:, cut] + self._all_different - self.different[:, cut]
        return _share(right, self._all_same + self._all_different)

    def precision(self, cut: int) -> np.ndarray:
        """Share of same pairs among the accepted."""
        return _share(self.same[:, cut], self.same[:, cut] + self.different[:, cut])

    def recall(self, cut: int) -> np.ndarray:
        """Share of the same pairs that is accepted."""
        return _share(self.same[:, cut], self._all_same)

    def f1(self, cut: int) -> np.ndarray:
        """Harmonic mean of precision and recall."""
        accepted = self.same[:, cut] + self.different[:, cut]
        return _share(2 * self.same[:, cut], accepted + self._all_same)

    def roc_auc(self) -> np.ndarray:
        """How often a same pair is nearer than a different one; a tie counts half."""
        # Of the different pairs at each cut: the same pairs before it, and half of those at it.
        wins = np.einsum(
            "rc,rc->r", np.diff(self.different, axis=1), self.same[:, 1:] + self.same[:, :-1]
        )
        # In float64: the product of the totals may be beyond int64.
        return _share(wins / 2, self._all_same.astype(np.float64) * self._all_different)

    def rates(self) -> tuple[np.ndarray, np.ndarray]:
        """False accept rate and true accept rate by cut, both (r, cuts); NaN without both kinds."""
        both = np.minimum(self._all_same, self._all_different)[:, None] > 0
        return (
            _share(self.different, self._all_different[:, None] * both),
            _share(self.same, self._all_same[:, None] * both),
        )

    @property
    def _all_same(self) -> np.ndarray:
        return self.same[:, -1]

    @property
    def _all_different(self) -> np.ndarray:
        return self.different[:, -1]


def equal_error_rate(false_accepts: np.ndarray, true_accepts: np.ndarray) -> np.ndarray:
    """Where the false accept rate and the false reject rate meet.

    The rates jump from cut to cut; between two cuts they are taken as straight lines, which are
    what ``sklearn.metrics.roc_curve`` draws.

    Args:
      false_accepts: (r, cuts) rates, from 0 to 1.
      true_accepts: (r, cuts) likewise.

    Returns:
      (r,), NaN where a rate is.
    """
    excess = false_accepts + true_accepts - 1.0  # false accepts less false rejects, from -1 to 1
    row = np.arange(len(excess))
    after = np.clip(np.count_nonzero(excess < 0, axis=1), 1, excess.shape[1] - 1)
    before = after - 1
    share = -excess[row, before] / (excess[row, after] - excess[row, before])
    low, high = false_accepts[row, before], false_accepts[row, after]
    rate: np.ndarray = low + share * (high - low)
    return rate


def true_accept_cut(false_accepts: np.ndarray, most: float) -> np.ndarray:
    """(r,) the last cut with a false accept rate of at most ``most``: no line drawn between.

    Args:
      false_accepts: (r, cuts) rates, from 0 to 1.
      most: the rate.
    """
    cut: np.ndarray = np.maximum(np.count_nonzero(false_accepts <= most, axis=1) - 1, 0)
    return cut


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        share: np.ndarray = np.where(whole > 0, part / whole, np.nan)
    return share
