"""The threshold on the distance that tells same from different best."""

import numpy as np


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
    order = np.argsort(distance, kind="stable")
    ordered, is_same = distance[order].astype(np.float64), same[order].astype(np.int64)
    # Below the k smallest distances: same pairs among them, different pairs among the rest.
    right = np.concatenate([[0], np.cumsum(is_same)]) + (
        (len(same) - is_same.sum()) - np.concatenate([[0], np.cumsum(1 - is_same)])
    )
    # Equal distances cannot be told apart, so the cut lies before the first or after the last.
    possible = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    best = np.flatnonzero(possible & (right == right[possible].max()))
    cut = int(best[len(best) // 2])
    below = ordered[cut - 1] if cut else 0.0
    above = ordered[cut] if cut < len(ordered) else ordered[-1]
    return float((below + above) / 2), float(right[cut] / len(same))
