"""The few figures that a reader looks for first."""

import dataclasses

from diptych.schemas.evaluation import Estimate, Evaluation, FewShot, Slice

_FAR = 0.01  # of the rates of false accepts, the one nearest to it is shown


@dataclasses.dataclass(frozen=True)
class Card:
    """A figure, shown large; a share unless it is ``plain``."""

    name: str
    estimate: Estimate
    hint: str
    plain: bool = False


def cards(evaluation: Evaluation) -> tuple[Card, ...]:
    """The figures that exist, the most asked for first."""
    pairs, whole = evaluation.pairs, evaluation.all
    found = [
        Card(
            "Accuracy",
            pairs.calibrated.accuracy,
            f"of {pairs.pairs:,} test pairs, at the calibrated threshold",
        ),
        Card(
            "ROC AUC", pairs.roc_auc, "chance that a same pair is nearer than a different one", True
        ),
        Card("Equal error rate", pairs.equal_error_rate, "where both errors are as frequent"),
    ]
    if pairs.tar_at_far:
        tar = min(pairs.tar_at_far, key=lambda at: abs(at.false_accept_rate - _FAR))
        hint = f"same pairs accepted where {100 * tar.false_accept_rate:g} % of different ones are"
        found.append(Card(f"TAR at {100 * tar.false_accept_rate:g} % FAR", tar.rate, hint))
    if whole.retrieval is not None:
        recall, map_at_r = whole.retrieval.recall_at_1, whole.retrieval.map_at_r
        found.append(Card("Recall@1", recall, "the nearest other example is of the same class"))
        found.append(Card("MAP@R", map_at_r, "the nearest are of the same class, in order"))
    for part in (evaluation.slice("unseen"), whole):
        if part is not None and part.few_shot:
            found.append(_few_shot_card(part))
            break
    hint = f"at the fixed threshold, {pairs.fixed.threshold:.3g}"
    found.append(Card("Accuracy, fixed", pairs.fixed.accuracy, hint))
    return tuple(found)


def few_shot_plans(evaluation: Evaluation) -> list[tuple[int, int]]:
    """Ways and shots of all slices."""
    return sorted({(one.ways, one.shots) for part in evaluation.slices for one in part.few_shot})


def few_shot_of(part: Slice, ways: int, shots: int) -> FewShot | None:
    """The figures of a slice for one plan."""
    found = (one for one in part.few_shot if (one.ways, one.shots) == (ways, shots))
    return next(found, None)


def _few_shot_card(part: Slice) -> Card:
    first = part.few_shot[0]
    of = "classes that training never saw" if part.name == "unseen" else "test classes"
    shots = "one example" if first.shots == 1 else f"{first.shots} examples"
    return Card(
        f"{first.ways}-way {first.shots}-shot",
        first.accuracy,
        f"the right one of {first.ways} {of}, from {shots} each",
    )
