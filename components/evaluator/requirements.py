"""Absolute metric requirements for a blessing."""

from typing import Literal

from diptych.schemas.config.evaluate import MetricRequirements
from diptych.schemas.evaluation import Check, Slice

_DISPLAY_NAMES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "equal_error_rate": "equal error rate",
    "recall_at_1": "Recall@1",
    "map_at_r": "MAP@R",
}
_LOWER_IS_BETTER = ("equal_error_rate",)


def check_requirements(requirements: MetricRequirements, test_slice: Slice) -> tuple[Check, ...]:
    """Check each required metric, in the order of the configuration.

    Args:
      requirements: Required metric values.
      test_slice: Metrics of the complete test split.
    """
    metrics = main_metrics(test_slice)
    checks = [
        _check_requirement(
            name,
            display_name,
            metrics.get(name),
            requirement,
            "lower" if name in _LOWER_IS_BETTER else "higher",
        )
        for name, display_name in _DISPLAY_NAMES.items()
        if (requirement := getattr(requirements, name)) is not None
    ]
    for rate, requirement in sorted(requirements.tar_at_far.items(), reverse=True):
        name = tar_metric_name(rate)
        checks.append(
            _check_requirement(
                name, f"TAR at FAR {rate:g}", metrics.get(name), requirement, "higher"
            )
        )
    return tuple(checks)


def main_metrics(test_slice: Slice) -> dict[str, float]:
    """Return the defined main metrics, keyed by the names of the requirements.

    Metrics with a threshold are at the calibrated threshold, except ``accuracy_at_fixed``.
    """
    metrics: dict[str, float | None] = {}
    if (verification := test_slice.verification) is not None:
        calibrated = verification.calibrated
        metrics |= {
            "accuracy": calibrated.accuracy.value,
            "precision": calibrated.precision.value,
            "recall": calibrated.recall.value,
            "f1": calibrated.f1.value,
            "accuracy_at_fixed": verification.fixed.accuracy.value,
            "roc_auc": verification.roc_auc.value,
            "equal_error_rate": verification.equal_error_rate.value,
        }
        metrics |= {
            tar_metric_name(tar.false_accept_rate): tar.rate.value
            for tar in verification.tar_at_far
        }
    if (retrieval := test_slice.retrieval) is not None:
        metrics |= {
            "recall_at_1": retrieval.recall_at_1.value,
            "recall_at_5": retrieval.recall_at_5.value,
            "map_at_r": retrieval.map_at_r.value,
        }
    for few_shot in test_slice.few_shot:
        metrics[f"{few_shot.ways}_way_{few_shot.shots}_shot"] = few_shot.accuracy.value
    return {name: value for name, value in metrics.items() if value is not None}


def tar_metric_name(false_accept_rate: float) -> str:
    """Return the metric name of the true accept rate at a false accept rate."""
    return f"tar_at_far_{false_accept_rate:g}"


def _check_requirement(
    name: str,
    display_name: str,
    value: float | None,
    requirement: float,
    better: Literal["higher", "lower"],
) -> Check:
    bound = f"at {'least' if better == 'higher' else 'most'} {requirement:.2%}"
    if value is None:
        passed = False
        text = f"{display_name} could not be computed, but is required to be {bound}"
    else:
        passed = value >= requirement if better == "higher" else value <= requirement
        verb = "meets" if passed else "does not meet"
        text = f"{display_name} {value:.2%} {verb} the requirement of {bound}"
    return Check(
        name=name, value=value, requirement=requirement, better=better, passed=passed, text=text
    )
