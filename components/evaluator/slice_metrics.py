"""All figures of all slices of the test split, and of its classes."""

import dataclasses

import numpy as np

from diptych.components.evaluator.class_metrics import class_figures
from diptych.components.evaluator.evaluate import Outcome
from diptych.components.evaluator.few_shot import few_shot
from diptych.components.evaluator.pairwise_distances import F32, Measure
from diptych.components.evaluator.retrieval import I64, Found, retrieve
from diptych.components.evaluator.scored_pairs import Judged
from diptych.components.evaluator.slices import slices_of
from diptych.components.evaluator.verification import verify
from diptych.schemas.config.evaluate import Evaluate
from diptych.schemas.evaluation import ClassFigures, Slice, Verification
from diptych.schemas.shards import SplitPairs

_SEARCHED = ("all", "seen", "unseen")  # slices with figures of retrieval and few-shot


@dataclasses.dataclass(frozen=True)
class Parts:
    """What an evaluation says of parts of the test split; the first slice is ``all``."""

    slices: tuple[Slice, ...]
    classes: tuple[ClassFigures, ...]
    notes: tuple[str, ...]


def judge_parts(
    outcome: Outcome,
    split: SplitPairs,
    train_sizes: I64,
    measure: Measure,
    settings: Evaluate,
) -> Parts:
    """Figures of every slice and class of labelled examples.

    Args:
      outcome: what the model makes of the test split.
      split: the test examples.
      train_sizes: training examples of each class by its number, as ``class_sizes`` counts them.
      measure: the model, which embedded them.
      settings: few-shot plan, resamples, seed and the fixed threshold.
    """
    judged, threshold = outcome.judged, outcome.threshold
    masks, notes = slices_of(split, train_sizes)
    _, number = np.unique(split.labels, return_inverse=True)
    slices: dict[str, Slice] = {}
    found: dict[str, Found | None] = {}
    for name, mask in masks.items():
        if name != "all" and mask.all():  # of all classes seen, or none
            slices[name] = slices["all"].model_copy(update={"name": name})
            continue
        whole = Slice(name=name, verification=_verify(judged.among(mask), threshold, settings))
        if name in _SEARCHED:
            found[name], searched, left_out = _search(
                outcome.embedding[mask], number[mask], measure, settings
            )
            whole = whole.model_copy(update=searched)
            notes += tuple(f"On {name} classes, {note}." for note in left_out)
        slices[name] = whole
    seen = split.classes >= 0
    classes = class_figures(judged, threshold, split.labels, seen, found["all"])
    return Parts(tuple(slices.values()), classes, notes)


def _verify(judged: Judged, threshold: float, settings: Evaluate) -> Verification | None:
    same = int(judged.is_same.sum())
    return verify(judged, threshold, settings) if 0 < same < len(judged.same) else None


def _search(
    embedding: F32, classes: I64, measure: Measure, settings: Evaluate
) -> tuple[Found | None, dict[str, object], tuple[str, ...]]:
    """What was found, figures of retrieval and few-shot by name, and notes."""
    found = retrieve(embedding, classes, measure.measured_by, measure.distance_weights)
    shots, notes = few_shot(
        *(embedding, classes, measure.distance, settings.few_shot),
        *(settings.bootstrap, settings.seed),
    )
    if found is None:
        notes = ("retrieval needs two classes, and one of them with two examples", *notes)
    retrieval = None if found is None else found.figures(settings.bootstrap, settings.seed)
    return found, {"retrieval": retrieval, "few_shot": shots}, notes
