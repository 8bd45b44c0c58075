"""Accuracy over folds, with the threshold of each fold from the others."""

import numpy as np
import numpy.typing as npt

from diptych.components.common.threshold import best_threshold
from diptych.schemas.evaluation import FoldAccuracy


def measure_fold_accuracy(
    distance: npt.NDArray[np.float32], same: npt.NDArray[np.int8], fold: npt.NDArray[np.int64]
) -> FoldAccuracy | None:
    """Measure the accuracy of each fold at the most accurate threshold of all other folds.

    This is the protocol of Labeled Faces in the Wild: Huang et al., technical report 07-49,
    University of Massachusetts, Amherst, 2007, section IV. The standard error is the sample
    standard deviation of the accuracies divided by the root of their number.

    Args:
      distance: (m,) distances; lower is more similar.
      same: (m,) 1 for a positive pair, 0 for a negative one.
      fold: (m,) any integers.

    Returns:
      The accuracy, or None with fewer than two folds.
    """
    folds = np.unique(fold)
    if len(folds) < 2:
        return None
    exact = distance.astype(np.float64)
    thresholds, accuracies = [], []
    for number in folds:
        is_test = fold == number
        threshold, _ = best_threshold(exact[~is_test], same[~is_test])
        accepted = exact[is_test] <= threshold
        thresholds.append(threshold)
        accuracies.append(float(np.mean(accepted == (same[is_test] == 1))))
    return FoldAccuracy(
        mean=float(np.mean(accuracies)),
        standard_error=float(np.std(accuracies, ddof=1) / np.sqrt(len(folds))),
        accuracies=tuple(accuracies),
        thresholds=tuple(thresholds),
    )
