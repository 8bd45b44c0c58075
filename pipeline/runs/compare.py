"""Comparison of two runs: configuration, code, data, training and metrics."""

import dataclasses
from typing import Any

from diptych.pipeline.runs import details
from diptych.pipeline.runs.outcome import RunOutcome
from diptych.pipeline.runs.paired_comparison import (
    compare_on_same_pairs,
    have_same_pairs,
    read_test_pairs,
)
from diptych.pipeline.runs.records import RunRecord
from diptych.schemas.evaluation import Estimate, PairedComparison

_MAX_CLASSES = 10  # of a comparison
_Differences = dict[str, tuple[Any, Any]]
_MetricPairs = dict[str, tuple[Estimate | None, Estimate | None]]


@dataclasses.dataclass(frozen=True)
class ClassChange:
    """Accuracy of a class that both runs evaluated."""

    label: str
    left: float
    right: float

    @property
    def gain(self) -> float:
        """Accuracy of the right run minus that of the left run."""
        return self.right - self.left


@dataclasses.dataclass(frozen=True)
class RunComparison:
    """Differences between two runs, keyed by name. Values unknown for both runs are omitted."""

    left: RunOutcome
    right: RunOutcome
    configuration: _Differences
    code: tuple[str, ...]  # steps whose code differs
    data: _Differences
    balance: _Differences
    training: _Differences
    metrics: _MetricPairs  # all metrics, including equal ones
    same_pairs: bool | None  # evaluated on the same test pairs; None: unknown for a run
    paired: PairedComparison | None  # right against left on the same pairs, if they are the same
    classes: tuple[ClassChange, ...]  # the largest changes, the largest gain first

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""

        def sides(values: _Differences) -> dict[str, Any]:
            return {name: {"left": left, "right": right} for name, (left, right) in values.items()}

        return {
            "left": self.left.as_json(),
            "right": self.right.as_json(),
            "configuration": sides(self.configuration),
            "code": list(self.code),
            "data": sides(self.data),
            "balance": sides(self.balance),
            "training": sides(self.training),
            "metrics": {
                name: {"left": left and left.model_dump(), "right": right and right.model_dump()}
                for name, (left, right) in self.metrics.items()
            },
            "same_pairs": self.same_pairs,
            "paired": self.paired and self.paired.model_dump(),
            "classes": [dataclasses.asdict(change) for change in self.classes],
        }


def compare_runs(left: RunOutcome, right: RunOutcome) -> RunComparison:
    """Compare two runs by their records in ML Metadata and their artifacts."""
    left_run, right_run = left.run, right.run
    same_pairs, paired = None, None
    left_pairs, right_pairs = read_test_pairs(left), read_test_pairs(right)
    if left_pairs is not None and right_pairs is not None:
        same_pairs = have_same_pairs(left_pairs, right_pairs)
        paired = compare_on_same_pairs(left_pairs, right_pairs) if same_pairs else None
    return RunComparison(
        left=left,
        right=right,
        configuration=_configuration_differences(left_run, right_run),
        code=_steps_with_changed_code(left_run, right_run),
        data=details.find_differences(
            details.data_details(left_run), details.data_details(right_run)
        ),
        balance=details.find_differences(
            details.balance_details(left_run), details.balance_details(right_run)
        ),
        training=details.find_differences(
            details.training_details(left_run), details.training_details(right_run)
        ),
        metrics=_pair_metrics(left, right),
        same_pairs=same_pairs,
        paired=paired,
        classes=tuple(largest_class_changes(left, right)),
    )


def largest_class_changes(left: RunOutcome, right: RunOutcome) -> list[ClassChange]:
    """Return the largest changes of class accuracy, the largest gain first.

    Of more than ten changes, the five largest gains and the five largest losses are returned.
    """
    if left.evaluation is None or right.evaluation is None:
        return []
    left_accuracy = {each.label: each.accuracy for each in left.evaluation.classes}
    changes = [
        ClassChange(each.label, accuracy, each.accuracy)
        for each in right.evaluation.classes
        if (accuracy := left_accuracy.get(each.label)) is not None and each.accuracy is not None
    ]
    changes = sorted((each for each in changes if each.gain), key=lambda each: -each.gain)
    if len(changes) <= _MAX_CLASSES:
        return changes
    half = _MAX_CLASSES // 2
    return changes[:half] + changes[-half:]


def _configuration_differences(left: RunRecord, right: RunRecord) -> _Differences:
    """Settings that differ, in the sections that both runs recorded."""
    common = details.read_sections(left).keys() & details.read_sections(right).keys()
    changed = details.find_differences(details.read_settings(left), details.read_settings(right))
    return {key: sides for key, sides in changed.items() if key.partition(".")[0] in common}


def _steps_with_changed_code(left: RunRecord, right: RunRecord) -> tuple[str, ...]:
    """Steps that both runs executed with different code."""
    changed = details.find_differences(
        details.read_code_hashes(left), details.read_code_hashes(right)
    )
    return tuple(step for step, sides in changed.items() if None not in sides)


def _pair_metrics(left: RunOutcome, right: RunOutcome) -> _MetricPairs:
    left_metrics = details.list_metrics(left.evaluation) if left.evaluation else {}
    right_metrics = details.list_metrics(right.evaluation) if right.evaluation else {}
    return {
        name: (left_metrics.get(name), right_metrics.get(name))
        for name in {**left_metrics, **right_metrics}
    }
