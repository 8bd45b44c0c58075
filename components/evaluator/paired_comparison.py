"""Comparison of the candidate with a reference on the same pairs."""

import numpy as np
from scipy.stats import binomtest

from diptych.components.evaluator.bootstrap import (
    bootstrap_pair_weights,
    draw_bootstrap_counts,
    make_estimate,
)
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.evaluation import Check, Estimate, PairedComparison


def compare_paired(
    candidate: ScoredPairs,
    candidate_threshold: float,
    reference: ScoredPairs,
    reference_threshold: float,
    config: EvaluateConfig,
) -> PairedComparison:
    """Compare the accuracies of two distances, each at its own calibrated threshold.

    Both are evaluated on the same resamples, so pairs that are hard for both do not widen the
    interval of the difference. The p-value is that of the exact McNemar test (Psychometrika 12,
    1947): if both are equally accurate, each pair that only one of them classifies correctly
    favours either model with probability 1/2.

    Args:
      candidate: Pairs with the distances of the new model.
      candidate_threshold: Calibrated threshold of the new model.
      reference: The same pairs with other distances: those of the model in production, of another
        run, or between the inputs.
      reference_threshold: Threshold calibrated for these distances.
      config: Number of resamples and seed.
    """
    candidate_correct = candidate.is_correct(candidate_threshold)
    reference_correct = reference.is_correct(reference_threshold)
    only_candidate = int((candidate_correct & ~reference_correct).sum())
    only_reference = int((reference_correct & ~candidate_correct).sum())
    discordant = only_candidate + only_reference
    gain = candidate_correct.astype(np.int64) - reference_correct
    return PairedComparison(
        threshold=reference_threshold,
        accuracy=float(reference_correct.mean()),
        difference=_estimate_difference(candidate, gain, config),
        only_candidate_correct=only_candidate,
        only_reference_correct=only_reference,
        mcnemar_p=float(binomtest(only_candidate, discordant).pvalue) if discordant else 1.0,
    )


def _estimate_difference(pairs: ScoredPairs, gain: np.ndarray, config: EvaluateConfig) -> Estimate:
    """Estimate the accuracy difference.

    Args:
      pairs: Pairs of either model.
      gain: (m,) 1 if only the candidate is correct, -1 if only the reference is, else 0.
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


def check_accuracy_drop(comparison: PairedComparison, max_accuracy_drop: float) -> Check:
    """Check that the candidate is not worse than the model in production.

    This is a non-inferiority test: the check passes only if the lower end of the interval of the
    difference is at least ``-max_accuracy_drop``.
    """
    difference = comparison.difference
    value, low = difference.value or 0.0, difference.low
    passed = low is not None and low >= -max_accuracy_drop
    production = f"the model in production ({comparison.accuracy:.2%} on the same pairs)"
    interval = _describe_interval(difference)
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


def check_beats_baseline(comparison: PairedComparison) -> Check:
    """Check that the candidate is more accurate than the plain distance between inputs.

    The check passes only if the complete interval of the difference is above 0.
    """
    difference = comparison.difference
    value, low = difference.value or 0.0, difference.low
    passed = low is not None and low > 0
    baseline = f"plain distance between inputs ({comparison.accuracy:.2%} on the same pairs)"
    interval = _describe_interval(difference)
    key = "set evaluate.requirements.beats_baseline: false"
    if passed:
        text = f"accuracy is above that of the {baseline}: {interval}"
    elif value > 0:
        text = (
            f"accuracy may not be above that of the {baseline}: {interval}; the test split is too "
            f"small to decide: test on more data, or {key}"
        )
    else:
        verb = "is more accurate than the model" if value < 0 else "is as good as the model"
        text = (
            f"the {baseline} {verb}: {interval}; training gained nothing on these data: use the "
            f"plain distance, change the training, or {key}"
        )
    return Check(
        name="beats_baseline",
        value=low,
        requirement=0.0,
        better="higher",
        passed=passed,
        text=text,
    )


def _describe_interval(difference: Estimate) -> str:
    value, low, high = difference.value or 0.0, difference.low, difference.high
    if low is None or high is None:
        return f"difference {value:+.2%}, no interval"
    return f"difference {value:+.2%}, 95 % interval {low:+.2%} to {high:+.2%}"
