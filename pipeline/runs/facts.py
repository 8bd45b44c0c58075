"""What can be said of a run, by name: settings, data, balance, training, figures."""

import json
from pathlib import Path
from typing import Any

from diptych.pipeline.runs.records import RunRecord
from diptych.schemas.balance import SplitBalance
from diptych.schemas.evaluation import Estimate, Evaluation
from diptych.schemas.shards import SPLITS

Facts = dict[str, Any]
# Where a step keeps a section of the configuration that it was given.
_SECTIONS = {
    ("ExampleGen", "data"): "data",
    ("ExampleGen", "split"): "split",
    ("AnomalyGate", "action"): "validation.anomalies",
    ("ImportSchemaGen", "schema_file"): "validation.schema_file",
    ("PairGen", "settings"): "pairs",
    ("Trainer", "model_settings"): "model",
    ("Trainer", "train_settings"): "train",
    ("Evaluator", "settings"): "evaluate",
}
CODE = "code_hash"


def settings_of(run: RunRecord) -> Facts:
    """The configuration as the steps were given it, by ``key.path``."""
    found: Facts = {}
    for section, values in sections_of(run).items():
        found |= flat(values, section)
    return found


def sections_of(run: RunRecord) -> dict[str, Facts]:
    """The sections of the configuration that are known: those of the steps that a run came to."""
    sections: dict[str, Facts] = {}
    for (name, parameter), path in _SECTIONS.items():
        step = run.step(name)
        if step is not None and parameter in step.parameters:
            section, _, key = path.partition(".")
            value = _value(step.parameters[parameter])
            sections.setdefault(section, {}).update({key: value} if key else value)
    return sections


def flat(value: Any, path: str) -> Facts:
    """The leaves of nested dictionaries, each under its path with dots; a list is a leaf."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    found: Facts = {}
    for key, inside in value.items():
        found |= flat(inside, f"{path}.{key}")
    return found


def code_of(run: RunRecord) -> Facts:
    """A digest of the code of each step that is ours."""
    return {step.name: step.parameters[CODE] for step in run.steps if CODE in step.parameters}


def data_of(run: RunRecord) -> Facts:
    """What was read, and how many examples there are in each split."""
    found: Facts = {}
    step = run.step("ExampleGen")
    if step is not None and "fingerprint" in step.parameters:
        found["fingerprint"] = step.parameters["fingerprint"]
    rejected = run.output("ExampleGen", "rejected")
    if rejected is not None:
        found["rows or images"] = rejected.properties.get("num_read")
        found["set aside"] = rejected.properties.get("num_rejected")
    for split, balance in _balances(run).items():
        found[f"{split} examples"] = balance.num_examples
        if balance.classes is not None:
            found[f"{split} classes"] = balance.classes.num_classes
    return found


def balance_of(run: RunRecord) -> Facts:
    """Pairs of each split, and how they make use of its examples."""
    found: Facts = {}
    for split, balance in _balances(run).items():
        found[f"{split} same pairs"] = balance.num_same
        found[f"{split} different pairs"] = balance.num_different
        found[f"{split} repeats, mean"] = round(balance.repeats_mean, 3)
        found[f"{split} examples in a pair"] = balance.coverage
        if balance.classes is not None:
            spread = balance.classes.pairs
            found[f"{split} pairs a class"] = f"{spread.min:,} to {spread.max:,}"
    return found


def training_of(run: RunRecord) -> Facts:
    """How the curves end: the last epoch, and the one whose weights were kept."""
    log = run.output("Trainer", "training_log")
    curves = _read(log.path / "curves.json") if log else None
    if not curves:
        return {}
    best = next(line for line in curves["epochs"] if line["epoch"] == curves["best_epoch"])
    return {
        "epochs": len(curves["epochs"]),
        "best epoch": curves["best_epoch"],
        "loss at the end": round(curves["epochs"][-1]["loss"], 4),
        "calibration loss, best": round(best["calibration_loss"], 4),
        "calibration accuracy, best": round(best["calibration_accuracy"], 4),
        "seconds": round(sum(line["seconds"] for line in curves["epochs"]), 1),
    }


def figures_of(evaluation: Evaluation) -> dict[str, Estimate]:
    """The figures of the test split and of its slices.

    Where no class is unseen, those of seen classes are the same again, and left out.
    """
    pairs = evaluation.pairs
    at = pairs.calibrated
    found = {
        "accuracy": at.accuracy,
        f"accuracy at {pairs.fixed.threshold:g}": pairs.fixed.accuracy,
        "precision": at.precision,
        "recall": at.recall,
        "F1": at.f1,
        "ROC AUC": pairs.roc_auc,
        "equal error rate": pairs.equal_error_rate,
    }
    for each in pairs.tar_at_far:
        found[f"TAR at FAR {each.false_accept_rate:g}"] = each.rate
    again = "seen" if evaluation.slice("unseen") is None else None
    for part in (part for part in evaluation.slices if part.name != again):
        of = "" if part is evaluation.all else f", {part.name}"
        if of and part.verification is not None:
            found[f"accuracy{of}"] = part.verification.calibrated.accuracy
        if part.retrieval is not None:
            found[f"Recall@1{of}"] = part.retrieval.recall_at_1
            found[f"MAP@R{of}"] = part.retrieval.map_at_r
        for shot in part.few_shot:
            found[f"{shot.ways}-way {shot.shots}-shot{of}"] = shot.accuracy
    return found


def differing(left: Facts, right: Facts) -> dict[str, tuple[Any, Any]]:
    """What is not equal, by name; None on the side that has none."""
    return {
        name: (left.get(name), right.get(name))
        for name in {**left, **right}
        if left.get(name) != right.get(name)
    }


def _balances(run: RunRecord) -> dict[str, SplitBalance]:
    found = run.output("PairGen", "balance")
    if found is None or not found.path.is_dir():  # the files are gone
        return {}
    return {split: SplitBalance.read(found.path, split) for split in SPLITS}


def _value(text: Any) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # a word
        return text


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes()) if path.is_file() else None
