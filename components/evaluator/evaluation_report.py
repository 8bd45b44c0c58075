"""The evaluation report: metrics, checks and the blessing."""

import numpy as np

from diptych.components.evaluator.collapse import check_collapse, describe_collapse
from diptych.components.evaluator.leaks import check_leaked_pairs, describe_leaked_pairs
from diptych.components.evaluator.model_predictions import ModelPredictions
from diptych.components.evaluator.paired_comparison import (
    check_accuracy_drop,
    check_beats_baseline,
    compare_paired,
)
from diptych.components.evaluator.requirements import check_requirements
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.components.evaluator.slice_metrics import SliceMetrics
from diptych.components.evaluator.verification import is_far_measurable
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.evaluation import (
    EvaluationReport,
    GivenPairMetrics,
    LabelErrorSummary,
    RawDistanceMetrics,
)


def build_evaluation_report(
    candidate: ModelPredictions,
    production: ModelPredictions | None,
    raw_distance: RawDistanceMetrics,
    metrics: SliceMetrics,
    leaked: float,
    config: EvaluateConfig,
    label_errors: LabelErrorSummary | None = None,
    given_pairs: GivenPairMetrics | None = None,
    are_pairs_given: bool = False,
    split_by: str = "example",
    notes: tuple[str, ...] = (),
) -> EvaluationReport:
    """Run all checks and combine them with the metrics.

    Args:
      candidate: Predictions of the new model.
      production: Predictions of the model in production on the same pairs, or None if there is no
        model to compare with.
      raw_distance: Metrics of the plain distance between inputs on the same pairs.
      metrics: Metrics of the new model. The slice ``all`` has both positive and negative pairs.
      leaked: Fraction of the test pairs with an example that is known from training.
      config: Requirements and number of resamples.
      label_errors: Suspected label errors; None without labels.
      given_pairs: Metrics of ``evaluate.pairs``; None if it is not set.
      are_pairs_given: The data are given pairs.
      split_by: The setting ``split.by``.
      notes: Notes to put first, such as why there is no comparison.
    """
    pairs, test_slice = candidate.pairs, metrics.slices[0]
    assert test_slice.verification is not None  # ``RawTestSplit.predict`` requires both kinds
    roc_auc = test_slice.verification.roc_auc
    collapse = describe_collapse(candidate.embeddings, pairs.distance, roc_auc)
    checks = [*check_requirements(config.requirements, test_slice)]
    max_leaked = config.requirements.max_leaked
    if max_leaked is not None:
        check = check_leaked_pairs(
            leaked, max_leaked, given_pairs=are_pairs_given, split_by=split_by
        )
        checks.append(check)
    elif leaked:
        notes = (f"{describe_leaked_pairs(leaked)}.", *notes)
    baseline_check = check_beats_baseline(raw_distance.comparison)
    if config.requirements.beats_baseline:
        checks.append(baseline_check)
    elif not baseline_check.passed:
        notes = (f"Not required, but {baseline_check.text}.", *notes)
    comparison = None
    if production is not None:
        comparison = compare_paired(
            pairs, candidate.threshold, production.pairs, production.threshold, config
        )
        checks.append(check_accuracy_drop(comparison, config.max_accuracy_drop))
    checks.append(check_collapse(collapse, roc_auc))
    return EvaluationReport(
        blessed=all(check.passed for check in checks),
        checks=tuple(checks),
        collapse=collapse,
        slices=metrics.slices,
        classes=metrics.classes,
        raw_distance=raw_distance,
        production=comparison,
        label_errors=label_errors,
        given_pairs=given_pairs,
        resamples=config.bootstrap,
        notes=(*notes, *metrics.notes, *_unmeasurable_rate_notes(pairs, config)),
    )


def _unmeasurable_rate_notes(pairs: ScoredPairs, config: EvaluateConfig) -> tuple[str, ...]:
    return tuple(
        f"TAR at FAR {rate:g} requires {np.ceil(1 / rate):,.0f} negative pairs in the test split, "
        f"got {pairs.num_negative:,}."
        for rate in config.false_accept_rates
        if not is_far_measurable(pairs, rate)
    )
