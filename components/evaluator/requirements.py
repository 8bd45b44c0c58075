"""The absolute bars of the verdict."""

from typing import Literal

from diptych.schemas.config.evaluate import Bars
from diptych.schemas.evaluation import Rule, Slice

_NAMES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "equal_error_rate": "equal error rate",
    "recall_at_1": "Recall@1",
    "map_at_r": "MAP@R",
}
_AT_MOST = ("equal_error_rate",)


def rules_of(bars: Bars, part: Slice) -> tuple[Rule, ...]:
    """A rule for each bar, in the order of the settings.

    Args:
      bars: what is asked for.
      part: the whole test split, with its figures of verification.
    """
    figures = figures_of(part)
    rules = [
        _rule(name, label, figures.get(name), bar, "lower" if name in _AT_MOST else "higher")
        for name, label in _NAMES.items()
        if (bar := getattr(bars, name)) is not None
    ]
    for far, bar in sorted(bars.tar_at_far.items(), reverse=True):
        name = tar_name(far)
        rules.append(_rule(name, f"TAR at FAR {far:g}", figures.get(name), bar, "higher"))
    return tuple(rules)


def figures_of(part: Slice) -> dict[str, float]:
    """The main figures by name, as bars name them; those that do not exist are left out."""
    found: dict[str, float | None] = {}
    if (pairs := part.verification) is not None:
        at = pairs.calibrated
        found |= {
            "accuracy": at.accuracy.value,
            "precision": at.precision.value,
            "recall": at.recall.value,
            "f1": at.f1.value,
            "accuracy_at_fixed": pairs.fixed.accuracy.value,
            "roc_auc": pairs.roc_auc.value,
            "equal_error_rate": pairs.equal_error_rate.value,
        }
        found |= {tar_name(tar.false_accept_rate): tar.rate.value for tar in pairs.tar_at_far}
    if part.retrieval is not None:
        found |= {
            "recall_at_1": part.retrieval.recall_at_1.value,
            "recall_at_5": part.retrieval.recall_at_5.value,
            "map_at_r": part.retrieval.map_at_r.value,
        }
    for shot in part.few_shot:
        found[f"{shot.ways}_way_{shot.shots}_shot"] = shot.accuracy.value
    return {name: value for name, value in found.items() if value is not None}


def tar_name(false_accept_rate: float) -> str:
    """The figure's name."""
    return f"tar_at_far_{false_accept_rate:g}"


def _rule(
    name: str, label: str, figure: float | None, bar: float, better: Literal["higher", "lower"]
) -> Rule:
    if figure is None:
        text = f"{label} could not be told, and a bar of {bar:.2%} is set"
        return Rule(name=name, figure=None, bar=bar, better=better, holds=False, text=text)
    holds = figure >= bar if better == "higher" else figure <= bar
    if better == "higher":
        word = "reaches" if holds else "is below"
    else:
        word = "is within" if holds else "is above"
    text = f"{label} {figure:.2%} {word} the bar of {bar:.2%}"
    return Rule(name=name, figure=figure, bar=bar, better=better, holds=holds, text=text)
