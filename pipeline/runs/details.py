"""Details of a run, keyed by name: settings, code, data, balance, training and metrics."""

import json
from typing import Any

import pydantic

from diptych.pipeline.runs.records import RunRecord
from diptych.schemas.balance import SplitBalance
from diptych.schemas.evaluation import Estimate, EvaluationReport
from diptych.schemas.learning_curves import LearningCurves
from diptych.schemas.shards import SPLITS

RunDetails = dict[str, Any]
# Step and parameter that record each section of the configuration.
_RECORDED_SECTIONS = {
    ("ExampleGen", "data"): "data",
    ("ExampleGen", "split"): "split",
    ("AnomalyGate", "action"): "validation.anomalies",
    ("ImportSchemaGen", "schema_file"): "validation.schema_file",
    ("PairGen", "settings"): "pairs",
    ("Trainer", "model_settings"): "model",
    ("Trainer", "train_settings"): "train",
    ("Evaluator", "settings"): "evaluate",
}
CODE_HASH = "code_hash"


def read_settings(run: RunRecord) -> RunDetails:
    """Read the configuration that the steps recorded, keyed by ``section.key``."""
    settings: RunDetails = {}
    for section, values in read_sections(run).items():
        settings |= flatten(values, section)
    return settings


def read_sections(run: RunRecord) -> dict[str, RunDetails]:
    """Read the sections of the configuration that the executed steps recorded."""
    sections: dict[str, RunDetails] = {}
    for (name, parameter), path in _RECORDED_SECTIONS.items():
        step = run.step(name)
        if step is not None and parameter in step.parameters:
            section, _, key = path.partition(".")
            value = _parse_parameter(step.parameters[parameter])
            sections.setdefault(section, {}).update({key: value} if key else value)
    return sections


def flatten(value: Any, path: str) -> RunDetails:
    """Flatten nested dictionaries into leaves keyed by dotted path; a list is a leaf."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    leaves: RunDetails = {}
    for key, nested in value.items():
        leaves |= flatten(nested, f"{path}.{key}")
    return leaves


def read_code_hashes(run: RunRecord) -> RunDetails:
    """Read the code hash of each step that records one."""
    return {
        step.name: step.parameters[CODE_HASH] for step in run.steps if CODE_HASH in step.parameters
    }


def data_details(run: RunRecord) -> RunDetails:
    """Fingerprint of the data, and the number of rows and examples."""
    details: RunDetails = {}
    step = run.step("ExampleGen")
    if step is not None and "fingerprint" in step.parameters:
        details["fingerprint"] = step.parameters["fingerprint"]
    rejected = run.output("ExampleGen", "rejected")
    if rejected is not None:
        details["rows or images"] = rejected.properties.get("num_read")
        details["rejected"] = rejected.properties.get("num_rejected")
    for split, balance in _read_balances(run).items():
        details[f"{split} examples"] = balance.num_examples
        if balance.classes is not None:
            details[f"{split} classes"] = balance.classes.num_classes
    return details


def balance_details(run: RunRecord) -> RunDetails:
    """Number of pairs in each split, and how they use its examples."""
    details: RunDetails = {}
    for split, balance in _read_balances(run).items():
        details[f"{split} positive pairs"] = balance.num_positive
        details[f"{split} negative pairs"] = balance.num_negative
        details[f"{split} repeats, mean"] = round(balance.repeats_mean, 3)
        details[f"{split} examples in a pair"] = balance.coverage
        if balance.classes is not None:
            pairs = balance.classes.pairs
            details[f"{split} pairs per class"] = f"{pairs.min:,} to {pairs.max:,}"
    return details


def training_details(run: RunRecord) -> RunDetails:
    """Values of the learning curves at the last epoch, and at the epoch whose weights were kept."""
    log = run.output("Trainer", "training_log")
    try:
        curves = LearningCurves.read(log.path) if log else None
    except (FileNotFoundError, pydantic.ValidationError):  # deleted, or written by another version
        curves = None
    if curves is None:
        return {}
    return {
        "epochs": len(curves.epochs),
        "best epoch": curves.best_epoch,
        "final loss": round(curves.epochs[-1].loss, 4),
        "best calibration loss": round(curves.best.calibration_loss, 4),
        "best calibration accuracy": round(curves.best.calibration_accuracy, 4),
        "seconds": round(sum(metrics.seconds for metrics in curves.epochs), 1),
    }


def list_metrics(evaluation: EvaluationReport) -> dict[str, Estimate]:
    """List the metrics of the test split and its slices, keyed by display name.

    Without unseen classes, the slice ``seen`` equals the complete test split and is omitted.
    """
    pairs = evaluation.pairs
    calibrated = pairs.calibrated
    metrics = {
        "accuracy": calibrated.accuracy,
        f"accuracy at {pairs.fixed.threshold:g}": pairs.fixed.accuracy,
        "precision": calibrated.precision,
        "recall": calibrated.recall,
        "F1": calibrated.f1,
        "ROC AUC": pairs.roc_auc,
        "equal error rate": pairs.equal_error_rate,
    }
    for each in pairs.tar_at_far:
        metrics[f"TAR at FAR {each.false_accept_rate:g}"] = each.rate
    baseline = evaluation.raw_distance
    metrics["baseline accuracy"] = baseline.accuracy
    metrics["baseline ROC AUC"] = baseline.roc_auc
    if baseline.recall_at_1 is not None:
        metrics["baseline Recall@1"] = baseline.recall_at_1
    if (given := evaluation.given_pairs) is not None:
        if given.folds is not None:
            mean, error = given.folds.mean, 1.96 * given.folds.standard_error  # 95 % of a normal
            metrics["accuracy of given pairs, folds"] = Estimate(
                value=mean, low=max(0.0, mean - error), high=min(1.0, mean + error)
            )
        if given.verification is not None:
            metrics["accuracy of given pairs"] = given.verification.calibrated.accuracy
            metrics["ROC AUC of given pairs"] = given.verification.roc_auc
    redundant = "seen" if evaluation.slice("unseen") is None else None
    for part in (part for part in evaluation.slices if part.name != redundant):
        suffix = "" if part is evaluation.all else f", {part.name}"
        if suffix and part.verification is not None:
            metrics[f"accuracy{suffix}"] = part.verification.calibrated.accuracy
        if part.retrieval is not None:
            metrics[f"Recall@1{suffix}"] = part.retrieval.recall_at_1
            metrics[f"MAP@R{suffix}"] = part.retrieval.map_at_r
        for few_shot in part.few_shot:
            name = f"{few_shot.ways}-way {few_shot.shots}-shot{suffix}"
            metrics[name] = few_shot.accuracy
    return metrics


def find_differences(left: RunDetails, right: RunDetails) -> dict[str, tuple[Any, Any]]:
    """Return the values that differ, keyed by name; None stands for a missing value."""
    return {
        name: (left.get(name), right.get(name))
        for name in {**left, **right}
        if left.get(name) != right.get(name)
    }


def _read_balances(run: RunRecord) -> dict[str, SplitBalance]:
    artifact = run.output("PairGen", "balance")
    if artifact is None or not artifact.path.is_dir():  # the files have been deleted
        return {}
    return {split: SplitBalance.read(artifact.path, split) for split in SPLITS}


def _parse_parameter(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # a plain string
        return text
