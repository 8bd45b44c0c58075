"""The threshold on the distance, up to which two are called the same."""

import numpy as np

from diptych.schemas.config.train import CalibrationTarget, FalseAcceptRate
from diptych.schemas.errors import DataError


def choose_threshold(distance: np.ndarray, same: np.ndarray, target: CalibrationTarget) -> float:
    """The threshold that the target asks for.

    ``best_accuracy``: the most pairs told right. ``equal_error_rate``: false accept rate and false
    reject rate nearest to each other. A false accept rate: the largest threshold that accepts at
    most this share of the different pairs. Of several equally good ones the middle one is taken.
    A threshold lies in the middle between two neighbouring distances, so it is below 0 where none
    must be accepted and the nearest pair is 0 apart.

    Args:
      distance: (n,) distances, lower is more alike.
      same: (n,) 1 for a same pair, 0 for a different one; some of both.
      target: what to choose it for.
    """
    if target == "best_accuracy":
        return best_threshold(distance, same)[0]
    ordered, possible, false_accepts, true_accepts = _cuts(distance, same)
    far = false_accepts / max(false_accepts[-1], 1)
    if isinstance(target, FalseAcceptRate):
        return _between(
            ordered, int(np.flatnonzero(possible & (far <= target.false_accept_rate))[-1])
        )
    gap = np.abs(far - (1 - true_accepts / max(true_accepts[-1], 1)))
    return _between(ordered, _middle(possible & (gap == gap[possible].min())))


def best_threshold(distance: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """The threshold with the highest accuracy, where ``distance <= threshold`` means same.

    Every distance is tried, O(n log n). A threshold lies in the middle between two neighbouring
    distances; of several equally good ones the middle one is taken, as it is furthest from both
    ends of the plateau.

    Args:
      distance: (n,) distances, lower is more alike; n >= 1.
      same: (n,) 1 for a same pair, 0 for a different one.

    Returns:
      The threshold and its accuracy in [0, 1].
    """
    ordered, possible, false_accepts, true_accepts = _cuts(distance, same)
    right = true_accepts + (false_accepts[-1] - false_accepts)
    cut = _middle(possible & (right == right[possible].max()))
    return _between(ordered, cut), float(right[cut] / len(same))


def check_target(target: CalibrationTarget, num_different: int) -> None:
    """Looks, before the training, whether a false accept rate can be told.

    Raises:
      DataError: one different pair alone would be above the rate.
    """
    if not isinstance(target, FalseAcceptRate):
        return
    rate = target.false_accept_rate
    if not num_different or 1 / num_different > rate:
        raise DataError(
            f"train.calibrate_for asks for a false accept rate of {rate:g}, which needs "
            f"{np.ceil(1 / rate):,.0f} different pairs in the calibration split, and there are "
            f"{num_different:,}. Ask for a higher rate, or give the split more examples "
            "(split.calibration) or more pairs of them (pairs.evaluation_rounds)."
        )


def _cuts(
    distance: np.ndarray, same: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a threshold after the k smallest distances does, for k = 0 .. n.

    Returns:
      (n,) distances in order, (n + 1,) whether a threshold can lie there, and (n + 1,) how many
      different and how many same pairs it accepts.
    """
    order = np.argsort(distance, kind="stable")
    ordered, is_same = distance[order].astype(np.float64), same[order].astype(np.int64)
    # Equal distances cannot be told apart, so the cut lies before the first or after the last.
    possible = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    false_accepts = np.concatenate([[0], np.cumsum(1 - is_same)])
    true_accepts = np.concatenate([[0], np.cumsum(is_same)])
    return ordered, possible, false_accepts, true_accepts


def _middle(cuts: np.ndarray) -> int:
    found = np.flatnonzero(cuts)
    return int(found[len(found) // 2])


def _between(ordered: np.ndarray, cut: int) -> float:
    # Before the first: half of it, or below 0 where that is 0.
    below = ordered[cut - 1] if cut else min(0.0, ordered[0] - 1e-6)
    above = ordered[cut] if cut < len(ordered) else ordered[-1]
    return float((below + above) / 2)
