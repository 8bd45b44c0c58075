"""Detection of collapsed models: equal embeddings, equal distances, or distances without signal."""

import numpy as np

from diptych.schemas.evaluation import Check, Estimate

# A ROC AUC below this is treated as chance unless its interval excludes chance. Models that learned
# something are far above it; a small test split widens the interval but does not move the value.
_NEAR_CHANCE = 0.55
_CHANCE = 0.5
# Relative spreads below this count as zero. Trained models have spreads above 0.01.
_MIN_SPREAD = 1e-3


def describe_collapse(
    embeddings: np.ndarray, distance: np.ndarray, roc_auc: Estimate
) -> str | None:
    """Describe how the embeddings collapsed, or return None.

    A model that ranks pairs better than chance has not collapsed, however small the spread of its
    embeddings. The spread only determines the description.

    Args:
      embeddings: (n, d) embeddings of the examples.
      distance: (m,) distances of the pairs.
      roc_auc: ROC AUC of the pairs.
    """
    constant_embeddings = relative_variance(embeddings) < _MIN_SPREAD
    constant_distance = _relative_distance_range(distance) < _MIN_SPREAD
    auc = _CHANCE if roc_auc.value is None else roc_auc.value
    excludes_chance = roc_auc.low is not None and roc_auc.low > _CHANCE
    is_constant = constant_embeddings or constant_distance
    if auc >= _NEAR_CHANCE or (excludes_chance and not is_constant):
        return None
    if constant_embeddings:
        return "all embeddings are nearly identical"
    if constant_distance:
        return "all pairs have nearly the same distance"
    if roc_auc.high is not None and roc_auc.high < _CHANCE:
        return "positive pairs are further apart than negative pairs"
    return "the embeddings differ, but the distances separate the pairs no better than chance"


def relative_variance(embeddings: np.ndarray) -> float:
    """Compute the total variance of the embeddings relative to their mean squared length.

    The result is in [0, 1]; 0 means that all embeddings are equal. For unit-length embeddings it is
    1 minus the squared length of their mean.
    """
    values = embeddings.astype(np.float64)
    mean_squared_length = float(np.mean(np.sum(values**2, axis=1)))
    if not mean_squared_length:
        return 0.0
    return float(np.sum(np.var(values, axis=0))) / mean_squared_length


def _relative_distance_range(distance: np.ndarray) -> float:
    """Compute the range from the 5th to the 95th percentile, relative to the latter."""
    low, high = np.quantile(distance.astype(np.float64), [0.05, 0.95])
    return float((high - low) / high) if high else 0.0


def check_collapse(collapse: str | None, roc_auc: Estimate) -> Check:
    """Check that the model has not collapsed; applies regardless of the requirements.

    Args:
      collapse: Result of ``describe_collapse``.
      roc_auc: ROC AUC of the pairs.
    """
    metric = f"ROC AUC {roc_auc.value:.4f}" if roc_auc.value is not None else "ROC AUC undefined"
    if roc_auc.low is not None:
        metric += f", 95 % interval {roc_auc.low:.4f} to {roc_auc.high:.4f}"
    metric += f" (chance: {_CHANCE})"
    text = (
        f"the embeddings have not collapsed: {metric}"
        if collapse is None
        else f"the embeddings have collapsed: {collapse}; {metric}"
    )
    return Check(
        name="collapse",
        value=roc_auc.value,
        requirement=_CHANCE,
        better="higher",
        passed=collapse is None,
        text=text,
    )
