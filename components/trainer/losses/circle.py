"""Circle loss."""

from typing import Any

import keras
from keras import ops

from diptych.components.trainer.argument_checks import require_positive
from diptych.components.trainer.losses.in_batch import (
    InBatchLoss,
    mask_invalid_anchors,
    masked_log_sum_exp,
    pairwise_cosine_similarity,
)


@keras.saving.register_keras_serializable(package="diptych")
class CircleLoss(InBatchLoss):
    """Pull cosine similarities to their optima, with a weight that grows with the deviation.

    One term per anchor, over its positives p and negatives n with cosine similarities s::

        log(1 + sum_n exp(gamma * a_n * (s_n - m)) * sum_p exp(-gamma * a_p * (s_p - 1 + m)))
        a_p = max(1 + m - s_p, 0)    a_n = max(s_n + m, 0)    m = margin

    Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization", CVPR 2020,
    eq. 5 to 8. As in section 3.1 of the paper, the weights a_p and a_n are constants with respect
    to the gradient.

    ``keras.losses.Circle`` has the same values but differs in three ways: gradients also flow
    through the weights, so they vanish at s_n = 0 instead of s_n = -m; the mean covers only anchors
    with a loss above 0; and class numbers above 2**24 are not distinguished.

    Args:
      margin: m, in (0, 1). The targets are cosines of 1 - m for positive pairs and m for negative
        pairs.
      gamma: Scale; the paper uses 64 to 256 and reports little influence.

    Call arguments, ``terms`` and errors: see ``InBatchLoss``. Embeddings should have unit length
    and are normalized otherwise. Values are >= 0, up to about ``5 * gamma``; lower is better.

    Raises:
      ValueError: If ``margin`` is not in (0, 1), or ``gamma`` is not positive.
    """

    def __init__(
        self, margin: float = 0.25, gamma: float = 64.0, name: str = "circle_loss", **kwargs: Any
    ) -> None:
        require_positive(margin=margin, gamma=gamma)
        if margin >= 1:
            raise ValueError(f"margin must be below 1, got {margin}.")
        super().__init__(name=name, **kwargs)
        self.margin = margin
        self.gamma = gamma

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), "margin": self.margin, "gamma": self.gamma}

    def _terms(self, embeddings: Any, positive_mask: Any, negative_mask: Any) -> tuple[Any, Any]:
        cosine, margin = pairwise_cosine_similarity(embeddings), self.margin
        pull = ops.stop_gradient(ops.relu(1.0 + margin - cosine)) * (1.0 - margin - cosine)
        push = ops.stop_gradient(ops.relu(cosine + margin)) * (cosine - margin)
        # log(1 + A * B) equals softplus(log A + log B), which does not overflow for any gamma.
        values = ops.softplus(
            masked_log_sum_exp(self.gamma * pull, positive_mask)
            + masked_log_sum_exp(self.gamma * push, negative_mask)
        )
        return mask_invalid_anchors(values, positive_mask)
