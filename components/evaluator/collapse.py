"""Recognises a model that has collapsed: it says the same of all pairs, or anything of any."""

import numpy as np

from diptych.schemas.evaluation import Estimate, Rule

# A ROC AUC below is no better than chance, if its interval does not say otherwise. A model that
# tells anything is far above; a small test split has a wide interval, but not such a figure.
_NEAR_CHANCE = 0.55
_CHANCE = 0.5
# Spreads below count as none. Those of models that learn are above 0.01.
_NONE = 1e-3


def describe_collapse(embedding: np.ndarray, distance: np.ndarray, roc_auc: Estimate) -> str | None:
    """How the embeddings collapsed, in words; None where they did not.

    A model that orders pairs better than chance has not collapsed, however close together its
    embeddings lie: only what fails is looked at for how it fails.

    Args:
      embedding: (n, d) of the examples.
      distance: (m,) of the pairs.
      roc_auc: of the pairs.
    """
    alike = spread_of(embedding) < _NONE
    one_distance = _spread_of_distances(distance) < _NONE
    auc = _CHANCE if roc_auc.value is None else roc_auc.value
    excludes_chance = roc_auc.low is not None and roc_auc.low > _CHANCE
    if auc >= _NEAR_CHANCE or (excludes_chance and not alike and not one_distance):
        return None
    if alike:
        return "all embeddings are alike, whatever the example"
    if one_distance:
        return "all pairs have one distance, whatever the examples"
    if roc_auc.high is not None and roc_auc.high < _CHANCE:
        return "same pairs are further apart than different ones"
    return (
        "the embeddings differ, but not by what is the same: pairs are told no better than chance"
    )


def spread_of(embedding: np.ndarray) -> float:
    """Variance of the embeddings over all dimensions, relative to their mean squared length.

    In [0, 1]: 0 if all are equal. Of embeddings of length 1 it is 1 less the squared length of
    their mean.
    """
    values = embedding.astype(np.float64)
    length = float(np.mean(np.sum(values**2, axis=1)))
    return float(np.sum(np.var(values, axis=0))) / length if length else 0.0


def _spread_of_distances(distance: np.ndarray) -> float:
    """From the 5th to the 95th percentile, relative to the latter."""
    low, high = np.quantile(distance.astype(np.float64), [0.05, 0.95])
    return float((high - low) / high) if high else 0.0


def rule_of(collapse: str | None, roc_auc: Estimate) -> Rule:
    """A collapsed model is never blessed, whatever the bars."""
    figure = f"ROC AUC {roc_auc.value:.4f}" if roc_auc.value is not None else "no ROC AUC"
    if roc_auc.low is not None:
        figure += f", 95 % interval {roc_auc.low:.4f} to {roc_auc.high:.4f}"
    text = (
        f"it has not collapsed: {figure}, where chance is {_CHANCE}"
        if collapse is None
        else f"it has collapsed: {collapse} ({figure}, where chance is {_CHANCE})"
    )
    return Rule(
        name="collapse",
        figure=roc_auc.value,
        bar=_CHANCE,
        better="higher",
        holds=collapse is None,
        text=text,
    )
