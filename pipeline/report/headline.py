"""Headline metrics: the cards at the top of the report."""

import dataclasses

from diptych.schemas.evaluation import Estimate, EvaluationReport, FewShot, Slice

_FALSE_ACCEPT_RATE = 0.01  # the card shows the TAR at the nearest rate


@dataclasses.dataclass(frozen=True)
class MetricCard:
    """A metric in large type, formatted as a percentage unless ``plain``."""

    name: str
    estimate: Estimate
    hint: str
    plain: bool = False


def headline_metrics(evaluation: EvaluationReport) -> tuple[MetricCard, ...]:
    """Select the headline metrics that the evaluation has, the most important first."""
    pairs, complete = evaluation.pairs, evaluation.all
    cards = [
        MetricCard(
            "Accuracy",
            pairs.calibrated.accuracy,
            f"of {pairs.pairs:,} test pairs, at the calibrated threshold",
        ),
        MetricCard(
            "ROC AUC",
            pairs.roc_auc,
            "probability that a positive pair is closer than a negative pair",
            plain=True,
        ),
        MetricCard(
            "Equal error rate",
            pairs.equal_error_rate,
            "where the false accept rate equals the false reject rate",
        ),
    ]
    if pairs.tar_at_far:
        tar = min(pairs.tar_at_far, key=lambda at: abs(at.false_accept_rate - _FALSE_ACCEPT_RATE))
        far = f"{100 * tar.false_accept_rate:g} %"
        hint = f"positive pairs accepted where {far} of the negative pairs are accepted"
        cards.append(MetricCard(f"TAR at {far} FAR", tar.rate, hint))
    if complete.retrieval is not None:
        recall, map_at_r = complete.retrieval.recall_at_1, complete.retrieval.map_at_r
        hint = "queries whose nearest neighbour has the same class"
        cards.append(MetricCard("Recall@1", recall, hint))
        cards.append(MetricCard("MAP@R", map_at_r, "mean average precision at R"))
    for part in (evaluation.slice("unseen"), complete):
        if part is not None and part.few_shot:
            cards.append(_few_shot_card(part))
            break
    hint = f"at the fixed threshold, {pairs.fixed.threshold:.3g}"
    cards.append(MetricCard("Accuracy, fixed", pairs.fixed.accuracy, hint))
    return tuple(cards)


def few_shot_settings(evaluation: EvaluationReport) -> list[tuple[int, int]]:
    """Ways and shots of the few-shot metrics of all slices."""
    return sorted({(one.ways, one.shots) for part in evaluation.slices for one in part.few_shot})


def find_few_shot(part: Slice, ways: int, shots: int) -> FewShot | None:
    """Return the few-shot metrics of a slice for these settings, or None."""
    matches = (one for one in part.few_shot if (one.ways, one.shots) == (ways, shots))
    return next(matches, None)


def _few_shot_card(part: Slice) -> MetricCard:
    first = part.few_shot[0]
    classes = "unseen classes" if part.name == "unseen" else "test classes"
    shots = "one example" if first.shots == 1 else f"{first.shots} examples"
    return MetricCard(
        f"{first.ways}-way {first.shots}-shot",
        first.accuracy,
        f"classification among {first.ways} {classes}, given {shots} of each",
    )
