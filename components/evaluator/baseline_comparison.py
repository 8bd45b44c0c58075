"""Comparison of the candidate with the model in production on the same pairs."""

import numpy as np
from scipy.stats import binomtest

from diptych.components.evaluator.bootstrap import (
    bootstrap_pair_weights,
    draw_bootstrap_counts,
    make_estimate,
)
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.evaluation import BaselineComparison, Check, Estimate


def compare_with_baseline(
    candidate: ScoredPairs,
    candidate_threshold: float,
    baseline: ScoredPairs,
    baseline_threshold: float,
    config: EvaluateConfig,
) -> BaselineComparison:
    """Compare the accuracies of two models, each at its own calibrated threshold.

    Both models are evaluated on the same resamples, so pairs that are hard for both do not widen
    the interval of the difference. The p-value is that of the exact McNemar test (Psychometrika 12,
    1947): if the models are equally accurate, each pair that only one of them classifies correctly
    favours either model with probability 1/2.

    Args:
      candidate: Pairs with the distances of the new model.
      candidate_threshold: Calibrated threshold of the new model.
      baseline: The same pairs with the distances of the model in production.
      baseline_threshold: Calibrated threshold of the model in production.
      config: Number of resamples and seed.
    """
    candidate_correct = candidate.is_correct(candidate_threshold)
    baseline_correct = baseline.is_correct(baseline_threshold)
    only_candidate = int((candidate_correct & ~baseline_correct).sum())
    only_baseline = int((baseline_correct & ~candidate_correct).sum())
    discordant = only_candidate + only_baseline
    gain = candidate_correct.astype(np.int64) - baseline_correct
    return BaselineComparison(
        threshold=baseline_threshold,
        accuracy=float(baseline_correct.mean()),
        difference=_estimate_difference(candidate, gain, config),
        only_candidate_correct=only_candidate,
        only_baseline_correct=only_baseline,
        mcnemar_p=float(binomtest(only_candidate, discordant).pvalue) if discordant else 1.0,
    )


def _estimate_difference(pairs: ScoredPairs, gain: np.ndarray, config: EvaluateConfig) -> Estimate:
    """Estimate the accuracy difference.

    Args:
      pairs: Pairs of either model.
      gain: (m,) 1 if only the candidate is correct, -1 if only the baseline is, else 0.
      config: Number of resamples and seed.
    """
    if not gain.any():  # equal predictions: the difference is 0 in every resample
        return Estimate(value=0.0, low=0.0, high=0.0)
    resampled = []
    for counts in draw_bootstrap_counts(
        pairs.num_examples, config.bootstrap, config.seed, width=len(gain)
    ):
        weights = bootstrap_pair_weights(counts, pairs.left, pairs.right)
        total = weights.sum(axis=1)
        with np.errstate(invalid="ignore"):
            resampled.append(np.where(total > 0, weights @ gain / total, np.nan))
    return make_estimate(float(gain.mean()), np.concatenate(resampled))


def check_accuracy_drop(comparison: BaselineComparison, max_accuracy_drop: float) -> Check:
    """Check that the candidate is not worse than the model in production.

    This is a non-inferiority test: the check passes only if the lower end of the interval of the
    difference is at least ``-max_accuracy_drop``.
    """
    difference = comparison.difference
    value, low, high = difference.value or 0.0, difference.low, difference.high
    passed = low is not None and low >= -max_accuracy_drop
    production = f"the model in production ({comparison.accuracy:.2%} on the same pairs)"
    interval = (
        f"difference {value:+.2%}, 95 % interval {low:+.2%} to {high:+.2%}"
        if low is not None
        else f"difference {value:+.2%}, no interval"
    )
    allowed = f"the allowed drop of {max_accuracy_drop:.2%}"
    if passed:
        text = f"accuracy compared with {production} is within {allowed}: {interval}"
    elif value < -max_accuracy_drop:
        text = f"accuracy compared with {production} exceeds {allowed}: {interval}"
    else:
        text = (
            f"accuracy compared with {production} may exceed {allowed}: {interval}; the test split "
            "is too small to decide: increase evaluate.max_accuracy_drop, or test on more data"
        )
    return Check(
        name="max_accuracy_drop",
        value=low,
        requirement=-max_accuracy_drop,
        better="higher",
        passed=passed,
        text=text,
    )
