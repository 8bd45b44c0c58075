"""All figures of an evaluation, and the verdict on them."""

import dataclasses

import numpy as np

from diptych.components.evaluator import baseline_comparison as comparison
from diptych.components.evaluator import collapse
from diptych.components.evaluator.requirements import rules_of
from diptych.components.evaluator.scored_pairs import Judged
from diptych.components.evaluator.verification import can_tell, verify
from diptych.schemas.config.evaluate import Evaluate
from diptych.schemas.evaluation import ClassFigures, Evaluation, Slice


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
    slices: tuple[Slice, ...],
    settings: Evaluate,
    classes: tuple[ClassFigures, ...] = (),
    notes: tuple[str, ...] = (),
) -> Evaluation:
    """Puts the figures together, with the rules and the verdict.

    Args:
      candidate: of the new model.
      baseline: of the model in production, over the same pairs; None where there is none to
        compare with.
      slices: figures of the new model; the first is the whole test split.
      settings: bars, resamples.
      classes: figures of each, where there are classes.
      notes: what is known already, such as why there is no baseline.
    """
    judged, threshold, whole = candidate.judged, candidate.threshold, slices[0]
    assert whole.verification is not None  # there are pairs of both kinds, see ``RawSplit``
    roc_auc = whole.verification.roc_auc
    collapsed = collapse.describe_collapse(candidate.embedding, judged.distance, roc_auc)
    rules = [*rules_of(settings.bars, whole)]
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
        slices=slices,
        classes=classes,
        comparison=compared,
        resamples=settings.bootstrap,
        notes=(*notes, *_untold_rates(judged, settings)),
    )


def whole_split(candidate: Outcome, settings: Evaluate) -> Slice:
    """Figures of all pairs: all that can be said of data without classes."""
    figures = verify(candidate.judged, candidate.threshold, settings)
    return Slice(name="all", verification=figures)


def _untold_rates(judged: Judged, settings: Evaluate) -> tuple[str, ...]:
    different = len(judged.same) - int(judged.is_same.sum())
    return tuple(
        f"TAR at FAR {far:g} needs {np.ceil(1 / far):,.0f} different pairs in the test split, and "
        f"there are {different:,}."
        for far in settings.false_accept_rates
        if not can_tell(judged, far)
    )
