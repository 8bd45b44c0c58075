"""All figures of an evaluation, and the verdict on them."""

import dataclasses

import numpy as np

from diptych.components.evaluator import collapse, comparison
from diptych.components.evaluator.judged import Judged
from diptych.components.evaluator.verdict import rules_of
from diptych.components.evaluator.verification import can_tell, verify
from diptych.schemas.errors import DataError
from diptych.schemas.evaluate import Evaluate
from diptych.schemas.evaluation import Evaluation, Slice


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a model makes of the test split.

    ``embedding`` (n, d) of its distinct examples; ``judged`` are its pairs, of rows of these;
    ``threshold`` is the calibrated one that the model carries.
    """

    embedding: np.ndarray
    judged: Judged
    threshold: float


def evaluate(
    candidate: Outcome,
    baseline: Outcome | None,
    settings: Evaluate,
    notes: tuple[str, ...] = (),
) -> Evaluation:
    """Figures, rules and verdict.

    Args:
      candidate: of the new model.
      baseline: of the model blessed before, over the same pairs; None where there is none to
        compare with.
      settings: fixed threshold, bars, resamples.
      notes: what is known already, such as why there is no baseline.

    Raises:
      DataError: all pairs are same, or all different.
    """
    judged, threshold = candidate.judged, candidate.threshold
    _check(judged)
    every = Slice(name="all", verification=verify(judged, threshold, settings))
    assert every.verification is not None
    roc_auc = every.verification.roc_auc
    collapsed = collapse.describe_collapse(candidate.embedding, judged.distance, roc_auc)
    rules = [*rules_of(settings.bars, every)]
    compared = None
    if baseline is not None:
        compared = comparison.compare(
            judged, threshold, baseline.judged, baseline.threshold, settings
        )
        rules.append(comparison.rule_of(compared, settings.max_drop))
    rules.append(collapse.rule_of(collapsed, roc_auc))
    return Evaluation(
        blessed=all(rule.holds for rule in rules),
        rules=tuple(rules),
        collapse=collapsed,
        slices=(every,),
        comparison=compared,
        resamples=settings.bootstrap,
        notes=(*notes, *_untold_rates(judged, settings)),
    )


def _check(judged: Judged) -> None:
    same = int(judged.is_same.sum())
    different = len(judged.same) - same
    if not same or not different:
        raise DataError(
            f"A model is judged on same and on different pairs, and the test split has {same} same "
            f"and {different} different ones. Give the test split more examples (split.test)."
        )


def _untold_rates(judged: Judged, settings: Evaluate) -> tuple[str, ...]:
    different = len(judged.same) - int(judged.is_same.sum())
    return tuple(
        f"TAR at FAR {far:g} needs {np.ceil(1 / far):,.0f} different pairs in the test split, and "
        f"there are {different:,}."
        for far in settings.false_accept_rates
        if not can_tell(judged, far)
    )
