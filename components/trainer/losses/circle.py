"""Circle loss."""

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
class CircleLoss(InBatchLoss):
    """Pulls cosines to their optima, each the harder the further away it is.

    One term for each anchor, over its positives p and negatives n with cosines s::

        log(1 + sum_n exp(gamma * a_n * (s_n - m)) * sum_p exp(-gamma * a_p * (s_p - 1 + m)))
        a_p = max(1 + m - s_p, 0)    a_n = max(s_n + m, 0)    m = margin

    Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization", CVPR 2020,
    eq. 5 to 8. The weights a_p and a_n are constants to the gradient, as they are there (section
    3.1: a gradient is multiplied with the weight on its way back).

    ``keras.losses.Circle`` has the same values, but not this: there, gradients flow through the
    weights as well, so that they vanish at s_n = 0 in place of s_n = -m; the mean is over the
    anchors with a loss above 0, so that one without falls out of the number of terms; and class
    numbers above 2**24 fall together.

    Args:
      margin: m, in (0, 1): same pairs are to reach a cosine of 1 - m, different ones of m.
      gamma: scale; 64 to 256 in the paper, where it hardly matters.

    Call arguments, ``terms``, errors: as ``InBatchLoss``. Embeddings of length 1 are expected, and
    others brought to it. Values are >= 0, up to about ``5 * gamma``; lower is better.

    Raises:
      ValueError: ``margin`` is not in (0, 1), or ``gamma`` is not positive.
    """

    def __init__(
        self, margin: float = 0.25, gamma: float = 64.0, name: str = "circle_loss", **options: Any
    ) -> None:
        require_positive(margin=margin, gamma=gamma)
        if margin >= 1:
            raise ValueError(f"margin must be below 1, got {margin}.")
        super().__init__(name=name, **options)
        self.margin = margin
        self.gamma = gamma

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this loss again."""
        return {**super().get_config(), "margin": self.margin, "gamma": self.gamma}

    def _terms(self, embeddings: Any, same: Any, different: Any) -> tuple[Any, Any]:
        cosine, margin = cosines(embeddings), self.margin
        pull = ops.stop_gradient(ops.relu(1.0 + margin - cosine)) * (1.0 - margin - cosine)
        push = ops.stop_gradient(ops.relu(cosine + margin)) * (cosine - margin)
        # log(1 + A * B) is softplus(log A + log B): nothing overflows, whatever gamma is.
        values = ops.softplus(
            log_sum_exp(self.gamma * pull, same) + log_sum_exp(self.gamma * push, different)
        )
        return one_term_each(values, same)
