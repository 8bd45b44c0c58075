"""Calibration of the threshold: pairs at this distance or below are predicted positive."""

import numpy as np

from diptych.schemas.config.train import FalseAcceptRate, ThresholdCriterion
from diptych.schemas.errors import DataError


def choose_threshold(
    distance: np.ndarray, same: np.ndarray, criterion: ThresholdCriterion
) -> float:
    """Choose the threshold that satisfies the criterion.

    ``best_accuracy``: the highest accuracy. ``equal_error_rate``: the smallest difference between
    the false accept rate and the false reject rate. A false accept rate: the largest threshold that
    accepts at most this fraction of the negative pairs. Ties are broken in favour of the middle
    threshold. A threshold is the midpoint of two neighbouring distances, so it is below 0 if no
    pair may be accepted and the smallest distance is 0.

    Args:
      distance: (n,) distances, lower is more similar.
      same: (n,) 1 for a positive pair, 0 for a negative one; at least one of each.
      criterion: Criterion of the choice.
    """
    if criterion == "best_accuracy":
        return best_threshold(distance, same)[0]
    ordered, is_cut, false_accepts, true_accepts = _accepts_by_cut(distance, same)
    far = false_accepts / max(false_accepts[-1], 1)
    if isinstance(criterion, FalseAcceptRate):
        largest = int(np.flatnonzero(is_cut & (far <= criterion.false_accept_rate))[-1])
        return _threshold_at(ordered, largest)
    gap = np.abs(far - (1 - true_accepts / max(true_accepts[-1], 1)))
    return _threshold_at(ordered, _middle_cut(is_cut & (gap == gap[is_cut].min())))


def best_threshold(distance: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """Find the most accurate threshold, where ``distance <= threshold`` predicts positive.

    Tries every cut between the sorted distances, O(n log n). A threshold is the midpoint of two
    neighbouring distances. Ties are broken in favour of the middle threshold, which is farthest
    from both ends of the plateau.

    Args:
      distance: (n,) distances, lower is more similar; n >= 1.
      same: (n,) 1 for a positive pair, 0 for a negative one.

    Returns:
      The threshold and its accuracy in [0, 1].
    """
    ordered, is_cut, false_accepts, true_accepts = _accepts_by_cut(distance, same)
    correct = true_accepts + (false_accepts[-1] - false_accepts)
    cut = _middle_cut(is_cut & (correct == correct[is_cut].max()))
    return _threshold_at(ordered, cut), float(correct[cut] / len(same))


def check_threshold_criterion(criterion: ThresholdCriterion, num_negative: int) -> None:
    """Check before training that a false accept rate can be measured.

    Args:
      criterion: Criterion for the threshold.
      num_negative: Number of negative pairs in the calibration split.

    Raises:
      DataError: If a single accepted negative pair already exceeds the rate.
    """
    if not isinstance(criterion, FalseAcceptRate):
        return
    rate = criterion.false_accept_rate
    if not num_negative or 1 / num_negative > rate:
        raise DataError(
            f"train.threshold_criterion requires a false accept rate of {rate:g}, which needs at "
            f"least {np.ceil(1 / rate):,.0f} negative pairs in the calibration split, got "
            f"{num_negative:,}. Set a higher rate, or provide more calibration examples "
            "(split.calibration) or more pairs of them (pairs.evaluation_rounds)."
        )


def _accepts_by_cut(
    distance: np.ndarray, same: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Count the accepted pairs for a threshold after the k smallest distances, k = 0 .. n.

    Returns:
      (n,) sorted distances, (n + 1,) whether a threshold is possible at the cut, and (n + 1,) the
      numbers of accepted negative pairs and of accepted positive pairs.
    """
    order = np.argsort(distance, kind="stable")
    ordered, is_same = distance[order].astype(np.float64), same[order].astype(np.int64)
    # No threshold separates equal distances, so a cut is before the first or after the last.
    is_cut = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    false_accepts = np.concatenate([[0], np.cumsum(1 - is_same)])
    true_accepts = np.concatenate([[0], np.cumsum(is_same)])
    return ordered, is_cut, false_accepts, true_accepts


def _middle_cut(is_candidate: np.ndarray) -> int:
    candidates = np.flatnonzero(is_candidate)
    return int(candidates[len(candidates) // 2])


def _threshold_at(ordered: np.ndarray, cut: int) -> float:
    # Before the first distance: half of it, or a negative threshold if it is 0.
    below = ordered[cut - 1] if cut else min(0.0, ordered[0] - 1e-6)
    above = ordered[cut] if cut < len(ordered) else ordered[-1]
    return float((below + above) / 2)
