"""Supervised contrastive loss."""

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
class SupervisedContrastiveLoss(InBatchLoss):
    """Classify each positive of an anchor against all other examples of the batch.

    One term per anchor, over its positives p and all examples a except the anchor, with cosine
    similarities s::

        - mean_p log(exp(s_p / temperature) / sum_a exp(s_a / temperature))

    Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. 2 (L_out, whose mean over
    the positives is outside of the logarithm). Two differences: the mean over the anchors instead
    of their sum; and an anchor without a negative does not count, because the formula would only
    equalize the cosines of its positives.

    Args:
      temperature: The lower, the more the most similar examples dominate.

    Call arguments, ``terms`` and errors: see ``InBatchLoss``. Embeddings should have unit length
    and are normalized otherwise. Values are >= 0, at most ``2 / temperature + log(n - 1)``; the
    optimum, if all positives are equal, is the log of their number. Lower is better.

    Raises:
      ValueError: If ``temperature`` is not positive.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        name: str = "supervised_contrastive_loss",
        **kwargs: Any,
    ) -> None:
        require_positive(temperature=temperature)
        super().__init__(name=name, **kwargs)
        self.temperature = temperature

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), "temperature": self.temperature}

    def _terms(self, embeddings: Any, positive_mask: Any, negative_mask: Any) -> tuple[Any, Any]:
        logits = pairwise_cosine_similarity(embeddings) / self.temperature
        num_positives = ops.maximum(ops.sum(ops.cast(positive_mask, "float32"), axis=1), 1.0)
        mean_positive = ops.sum(ops.where(positive_mask, logits, 0.0), axis=1) / num_positives
        others = ops.logical_or(positive_mask, negative_mask)
        return mask_invalid_anchors(
            masked_log_sum_exp(logits, others) - mean_positive, positive_mask
        )
