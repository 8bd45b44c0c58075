"""Two runs side by side: what they differ in, from the configuration to the figures."""

import dataclasses
from typing import Any

from diptych.pipeline.runs import facts
from diptych.pipeline.runs.outcome import Outcome
from diptych.pipeline.runs.paired_comparison import are_same, compare_paired, judged_pairs
from diptych.pipeline.runs.records import RunRecord
from diptych.schemas.evaluation import Comparison, Estimate

_CLASSES_SHOWN = 10
_Sides = dict[str, tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class ClassChange:
    """A class that both runs have judged."""

    label: str
    left: float  # accuracy
    right: float

    @property
    def gain(self) -> float:
        """Of the right run over the left one."""
        return self.right - self.left


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """What two runs differ in, by name; what is not named is equal, or known of neither."""

    left: Outcome
    right: Outcome
    configuration: _Sides
    code: tuple[str, ...]  # steps whose code has changed
    data: _Sides
    balance: _Sides
    training: _Sides
    figures: dict[str, tuple[Estimate | None, Estimate | None]]  # all, the equal ones as well
    same_pairs: bool | None  # judged on the same test pairs; None: not both have any
    paired: Comparison | None  # right beside left, pair by pair; None: on other pairs
    classes: tuple[ClassChange, ...]  # the largest changes, the greatest gain first

    def as_json(self) -> dict[str, Any]:
        """For programs."""

        def sides(values: _Sides) -> dict[str, Any]:
            return {name: {"left": left, "right": right} for name, (left, right) in values.items()}

        return {
            "left": self.left.as_json(),
            "right": self.right.as_json(),
            "configuration": sides(self.configuration),
            "code": list(self.code),
            "data": sides(self.data),
            "balance": sides(self.balance),
            "training": sides(self.training),
            "figures": {
                name: {"left": left and left.model_dump(), "right": right and right.model_dump()}
                for name, (left, right) in self.figures.items()
            },
            "same_pairs": self.same_pairs,
            "paired": self.paired and self.paired.model_dump(),
            "classes": [dataclasses.asdict(change) for change in self.classes],
        }


def side_by_side(left: Outcome, right: Outcome) -> SideBySide:
    """Compares two runs by what ML Metadata and their artifacts say."""
    one, other = left.run, right.run
    same_pairs, paired = None, None
    ours, theirs = judged_pairs(left), judged_pairs(right)
    if ours is not None and theirs is not None:
        same_pairs = are_same(ours, theirs)
        paired = compare_paired(ours, theirs) if same_pairs else None
    return SideBySide(
        left=left,
        right=right,
        configuration=_configuration(one, other),
        code=_code(one, other),
        data=facts.differing(facts.data_of(one), facts.data_of(other)),
        balance=facts.differing(facts.balance_of(one), facts.balance_of(other)),
        training=facts.differing(facts.training_of(one), facts.training_of(other)),
        figures=_figures(left, right),
        same_pairs=same_pairs,
        paired=paired,
        classes=tuple(class_changes(left, right)),
    )


def class_changes(left: Outcome, right: Outcome) -> list[ClassChange]:
    """The largest changes of the accuracy of a class, ten at most: half gains, half losses."""
    if left.evaluation is None or right.evaluation is None:
        return []
    before = {each.label: each.accuracy for each in left.evaluation.classes}
    changes = [
        ClassChange(each.label, known, each.accuracy)
        for each in right.evaluation.classes
        if (known := before.get(each.label)) is not None and each.accuracy is not None
    ]
    changes = sorted((each for each in changes if each.gain), key=lambda each: -each.gain)
    if len(changes) <= _CLASSES_SHOWN:
        return changes
    half = _CLASSES_SHOWN // 2
    return changes[:half] + changes[-half:]


def _configuration(left: RunRecord, right: RunRecord) -> _Sides:
    """Settings that differ, of sections that are known of both."""
    known = facts.sections_of(left).keys() & facts.sections_of(right).keys()
    changed = facts.differing(facts.settings_of(left), facts.settings_of(right))
    return {key: sides for key, sides in changed.items() if key.partition(".")[0] in known}


def _code(left: RunRecord, right: RunRecord) -> tuple[str, ...]:
    """Steps of both whose code differs."""
    changed = facts.differing(facts.code_of(left), facts.code_of(right))
    return tuple(step for step, sides in changed.items() if None not in sides)


def _figures(left: Outcome, right: Outcome) -> dict[str, tuple[Estimate | None, Estimate | None]]:
    ours = facts.figures_of(left.evaluation) if left.evaluation else {}
    theirs = facts.figures_of(right.evaluation) if right.evaluation else {}
    return {name: (ours.get(name), theirs.get(name)) for name in {**ours, **theirs}}
