"""Verification metrics: do both examples of a pair belong to the same class?

A lower distance means more similar examples; positive pairs are the positive class.
"""

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from diptych.components.evaluator.bootstrap import (
    bootstrap_pair_weights,
    draw_bootstrap_counts,
    make_estimate,
)
from diptych.components.evaluator.curves import (
    AcceptedCounts,
    SortedPairs,
    equal_error_rate,
    operating_point_at_far,
)
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.evaluation import (
    AtThreshold,
    Confusion,
    Estimate,
    TrueAcceptRate,
    Verification,
)

_ResampledMetrics = dict[str, np.ndarray]  # metric name -> (resamples,)


def compute_verification_metrics(
    pairs: ScoredPairs, threshold: float, config: EvaluateConfig
) -> Verification:
    """Compute all verification metrics, with 95 % intervals by bootstrap over examples.

    Args:
      pairs: Test pairs, at least one positive and one negative.
      threshold: Calibrated threshold, in the unit of the distance.
      config: Fixed threshold, false accept rates, number of resamples and seed.
    """
    resampled = _bootstrap_metrics(pairs, threshold, config)
    similarity = _similarity(pairs)
    false_accepts, true_accepts, similarity_thresholds = roc_curve(
        pairs.is_positive, similarity, drop_intermediate=False
    )
    # scikit-learn uses infinity for the first threshold, which accepts no pair.
    similarity_thresholds[0] = np.nextafter(similarity_thresholds[1], np.inf)
    equal_errors = equal_error_rate(false_accepts[None], true_accepts[None])[0]

    def tar_at_far(false_accept_rate: float) -> TrueAcceptRate:
        (point,) = operating_point_at_far(false_accepts[None], false_accept_rate)
        measurable = is_far_measurable(pairs, false_accept_rate)
        return TrueAcceptRate(
            false_accept_rate=false_accept_rate,
            threshold=-float(similarity_thresholds[point]),
            rate=make_estimate(
                float(true_accepts[point]) if measurable else None,
                resampled[_tar_key(false_accept_rate)],
            ),
        )

    return Verification(
        pairs=len(pairs.same),
        positive_pairs=pairs.num_positive,
        examples=pairs.num_examples,
        roc_auc=make_estimate(
            float(roc_auc_score(pairs.is_positive, similarity)), resampled["roc_auc"]
        ),
        equal_error_rate=make_estimate(float(equal_errors), resampled["equal_error_rate"]),
        tar_at_far=tuple(tar_at_far(rate) for rate in config.false_accept_rates),
        fixed=_metrics_at_threshold(pairs, "fixed", config.threshold, resampled),
        calibrated=_metrics_at_threshold(pairs, "calibrated", threshold, resampled),
    )


def is_far_measurable(pairs: ScoredPairs, false_accept_rate: float) -> bool:
    """Return True if the negative pairs suffice to measure a false accept rate.

    One negative pair must not exceed the rate: with 500 negative pairs, a rate of 1/1000 would be
    the same as a rate of 0.
    """
    return pairs.num_negative > 0 and 1 / pairs.num_negative <= false_accept_rate


def _similarity(pairs: ScoredPairs) -> np.ndarray:
    """Return scores as scikit-learn expects them: higher is more similar."""
    similarity: np.ndarray = -pairs.distance
    return similarity


def _metrics_at_threshold(
    pairs: ScoredPairs, name: str, threshold: float, resampled: _ResampledMetrics
) -> AtThreshold:
    def with_interval(metric: str, value: float) -> Estimate:
        return make_estimate(
            None if np.isnan(value) else float(value), resampled[f"{name} {metric}"]
        )

    actual, predicted = pairs.is_positive, pairs.distance <= threshold
    (true_negatives, false_positives), (false_negatives, true_positives) = confusion_matrix(
        actual, predicted, labels=[False, True]
    ).tolist()
    precision = precision_score(actual, predicted, zero_division=np.nan)
    return AtThreshold(
        threshold=threshold,
        accuracy=with_interval("accuracy", accuracy_score(actual, predicted)),
        precision=with_interval("precision", precision),
        recall=with_interval("recall", recall_score(actual, predicted)),
        f1=with_interval("f1", f1_score(actual, predicted)),
        confusion=Confusion(
            true_positives=true_positives,
            false_negatives=false_negatives,
            false_positives=false_positives,
            true_negatives=true_negatives,
        ),
    )


def _bootstrap_metrics(
    pairs: ScoredPairs, threshold: float, config: EvaluateConfig
) -> _ResampledMetrics:
    ordered = SortedPairs(pairs)
    points = {
        "fixed": ordered.operating_point(config.threshold),
        "calibrated": ordered.operating_point(threshold),
    }
    batches = [
        _metrics_of_counts(
            ordered.count_accepted(bootstrap_pair_weights(counts, ordered.left, ordered.right)),
            points,
            config.false_accept_rates,
        )
        for counts in draw_bootstrap_counts(
            pairs.num_examples, config.bootstrap, config.seed, width=len(pairs.same)
        )
    ]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _metrics_of_counts(
    counts: AcceptedCounts, points: dict[str, int], false_accept_rates: tuple[float, ...]
) -> _ResampledMetrics:
    false_accepts, true_accepts = counts.rates()
    metrics = {
        "roc_auc": counts.roc_auc(),
        "equal_error_rate": equal_error_rate(false_accepts, true_accepts),
    }
    for rate in false_accept_rates:
        last = operating_point_at_far(false_accepts, rate)
        metrics[_tar_key(rate)] = true_accepts[np.arange(len(last)), last]
    for name, point in points.items():
        metrics[f"{name} accuracy"] = counts.accuracy(point)
        metrics[f"{name} precision"] = counts.precision(point)
        metrics[f"{name} recall"] = counts.recall(point)
        metrics[f"{name} f1"] = counts.f1(point)
    return metrics


def _tar_key(false_accept_rate: float) -> str:
    return f"tar at {false_accept_rate!r}"
