"""Supervised contrastive loss."""

from typing import Any

import keras
from keras import ops

from diptych.components.trainer.argument_checks import require_positive
from diptych.components.trainer.losses.in_batch import (
    InBatchLoss,
    cosines,
    log_sum_exp,
    one_term_each,
)


@keras.saving.register_keras_serializable(package="diptych")
class SupervisedContrastiveLoss(InBatchLoss):
    """Tells each positive from all other examples of the batch, as a classification.

    One term for each anchor, over its positives p and all examples a but itself, with cosines s::

        - mean_p log(exp(s_p / temperature) / sum_a exp(s_a / temperature))

    Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. 2 (L_out, whose mean over
    the positives stands outside of the logarithm). Two changes: the mean over the anchors in place
    of their sum; and an anchor without a negative does not count, as the formula would only even
    out the cosines of its positives.

    Args:
      temperature: the lower, the more the nearest count.

    Call arguments, ``terms``, errors: as ``InBatchLoss``. Embeddings of length 1 are expected, and
    others brought to it. Values are >= 0, at most ``2 / temperature + log(n - 1)``; at best, with
    all positives alike, the log of their number. Lower is better.

    Raises:
      ValueError: ``temperature`` is not positive.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        name: str = "supervised_contrastive_loss",
        **options: Any,
    ) -> None:
        require_positive(temperature=temperature)
        super().__init__(name=name, **options)
        self.temperature = temperature

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this loss again."""
        return {**super().get_config(), "temperature": self.temperature}

    def _terms(self, embeddings: Any, same: Any, different: Any) -> tuple[Any, Any]:
        logits = cosines(embeddings) / self.temperature
        positives = ops.maximum(ops.sum(ops.cast(same, "float32"), axis=1), 1.0)
        mean_positive = ops.sum(ops.where(same, logits, 0.0), axis=1) / positives
        values = log_sum_exp(logits, ops.logical_or(same, different)) - mean_positive
        return one_term_each(values, same)
