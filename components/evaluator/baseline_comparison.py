"""The candidate beside the model in production, on the same pairs."""

import numpy as np
from scipy.stats import binomtest

from diptych.components.evaluator.bootstrap import draw_times, estimate, pair_weights
from diptych.components.evaluator.scored_pairs import Judged
from diptych.schemas.config.evaluate import Evaluate
from diptych.schemas.evaluation import Comparison, Estimate, Rule


def compare(
    candidate: Judged,
    threshold: float,
    baseline: Judged,
    baseline_threshold: float,
    settings: Evaluate,
) -> Comparison:
    """Compares the accuracies, each model at its own calibrated threshold.

    Both are judged on each resample, so what makes a pair hard for both does not widen the interval
    of the difference. McNemar's test (Psychometrika 12, 1947), exact: of the pairs that one model
    alone tells right, it would be either with probability 1/2 if they were equally good.

    Args:
      candidate: pairs with the distances of the new model.
      threshold: its own.
      baseline: the same pairs with the distances of the model in production.
      baseline_threshold: its own.
      settings: resamples and seed.
    """
    new, old = candidate.right_at(threshold), baseline.right_at(baseline_threshold)
    only_new, only_old = int((new & ~old).sum()), int((old & ~new).sum())
    apart = only_new + only_old
    return Comparison(
        threshold=baseline_threshold,
        accuracy=float(old.mean()),
        difference=_difference(candidate, new.astype(np.int64) - old, settings),
        only_candidate_right=only_new,
        only_baseline_right=only_old,
        mcnemar_p=float(binomtest(only_new, apart).pvalue) if apart else 1.0,
    )


def _difference(judged: Judged, gain: np.ndarray, settings: Evaluate) -> Estimate:
    """Of the accuracies; ``gain`` (m,) is 1 for a pair only the candidate tells right, or -1."""
    if not gain.any():  # the same model, or as good as: no resample could tell them apart
        return Estimate(value=0.0, low=0.0, high=0.0)
    resampled = []
    for times in draw_times(
        judged.num_examples, settings.bootstrap, settings.seed, width=len(gain)
    ):
        weights = pair_weights(times, judged.left, judged.right)
        total = weights.sum(axis=1)
        with np.errstate(invalid="ignore"):
            resampled.append(np.where(total > 0, weights @ gain / total, np.nan))
    return estimate(float(gain.mean()), np.concatenate(resampled))


def rule_of(comparison: Comparison, max_drop: float) -> Rule:
    """Not worse than the model in production, as far as the pairs can show it.

    The lower end of the interval must be above ``-max_drop``: the burden of proof is on the new
    model, as in a trial of non-inferiority.
    """
    difference = comparison.difference
    value, low, high = difference.value or 0.0, difference.low, difference.high
    holds = low is not None and low >= -max_drop
    before = f"the model in production, {comparison.accuracy:.2%} on the same pairs"
    interval = (
        f"difference {value:+.2%}, 95 % interval {low:+.2%} to {high:+.2%}, "
        if low is not None
        else f"difference {value:+.2%}, no interval, "
    )
    allowed = f"{max_drop:.2%} less allowed"
    if holds:
        text = f"it keeps up with {before}: {interval}{allowed}"
    elif value < -max_drop:
        text = f"it falls behind {before}: {interval}{allowed}"
    else:
        text = (
            f"it is not shown to keep up with {before}: {interval}{allowed}; the test split is too "
            "small to tell: raise evaluate.max_drop, or test on more data"
        )
    return Rule(name="max_drop", figure=low, bar=-max_drop, better="higher", holds=holds, text=text)
