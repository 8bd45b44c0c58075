"""Multi-similarity loss."""

from typing import Any

import keras
from keras import ops

from diptych.components.trainer.argument_checks import require_positive
from diptych.components.trainer.losses.in_batch import (
    InBatchLoss,
    mask_invalid_anchors,
    masked_log_sum_exp,
    masked_max,
    masked_min,
    pairwise_cosine_similarity,
)


@keras.saving.register_keras_serializable(package="diptych")
class MultiSimilarityLoss(InBatchLoss):
    """Mine and weight pairs by their cosine similarity relative to the anchor's other pairs.

    One term per anchor, over its mined positives p and negatives n with cosine similarities s::

        log(1 + sum_p exp(-alpha * (s_p - base))) / alpha
        + log(1 + sum_n exp(beta * (s_n - base))) / beta

    Mining keeps the negatives with ``s_n + epsilon`` above the lowest s_p, and the positives with
    ``s_p - epsilon`` below the highest s_n. As in the paper, an anchor without such pairs has a
    term of 0, which counts in the mean.

    Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning",
    CVPR 2019, eq. 11 and 12 (mining), 15 (loss). One difference: anchors without a positive or a
    negative in the batch do not count.

    Args:
      alpha: Sharpness for positive pairs.
      beta: Sharpness for negative pairs.
      base: Cosine similarity that separates the two (lambda in the paper).
      epsilon: Tolerance of the mining, in cosine similarity, >= 0.

    Call arguments, ``terms`` and errors: see ``InBatchLoss``. Embeddings should have unit length
    and are normalized otherwise. Values are >= 0, a few units at most; lower is better.

    Raises:
      ValueError: If ``alpha`` or ``beta`` is not positive, ``base`` is not in [-1, 1], or
        ``epsilon`` is negative.
    """

    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        epsilon: float = 0.1,
        name: str = "multi_similarity_loss",
        **kwargs: Any,
    ) -> None:
        require_positive(alpha=alpha, beta=beta)
        if not -1 <= base <= 1:
            raise ValueError(f"base must be a cosine from -1 to 1, got {base}.")
        if not epsilon >= 0:
            raise ValueError(f"epsilon must be at least 0, got {epsilon}.")
        super().__init__(name=name, **kwargs)
        self.alpha = alpha
        self.beta = beta
        self.base = base
        self.epsilon = epsilon

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        names = ("alpha", "beta", "base", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def _terms(self, embeddings: Any, positive_mask: Any, negative_mask: Any) -> tuple[Any, Any]:
        cosine = pairwise_cosine_similarity(embeddings)
        hardest_positive = masked_min(cosine, positive_mask)[:, None]
        hardest_negative = masked_max(cosine, negative_mask)[:, None]
        mined_positives = ops.logical_and(positive_mask, cosine - self.epsilon < hardest_negative)
        mined_negatives = ops.logical_and(negative_mask, cosine + self.epsilon > hardest_positive)
        excess = cosine - self.base
        pull = ops.softplus(masked_log_sum_exp(-self.alpha * excess, mined_positives)) / self.alpha
        push = ops.softplus(masked_log_sum_exp(self.beta * excess, mined_negatives)) / self.beta
        return mask_invalid_anchors(pull + push, positive_mask)
