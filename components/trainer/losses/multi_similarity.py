"""Multi-similarity loss."""

from typing import Any

import keras
from keras import ops

from diptych.components.trainer.argument_checks import require_positive
from diptych.components.trainer.losses.in_batch import (
    InBatchLoss,
    cosines,
    highest,
    log_sum_exp,
    lowest,
    one_term_each,
)


@keras.saving.register_keras_serializable(package="diptych")
class MultiSimilarityLoss(InBatchLoss):
    """Chooses and weighs pairs by their cosine beside the other pairs of the anchor.

    One term for each anchor, over the positives p and negatives n that are chosen, with cosines s::

        log(1 + sum_p exp(-alpha * (s_p - base))) / alpha
        + log(1 + sum_n exp(beta * (s_n - base))) / beta

    Chosen are the negatives with ``s_n + epsilon`` above the lowest s_p, and the positives with
    ``s_p - epsilon`` below the highest s_n. An anchor that has no such pairs has a term of 0, which
    counts, as in the paper.

    Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning",
    CVPR 2019, eq. 11 and 12 (choice), 15 (loss). One change: anchors without a positive or a
    negative in the batch do not count.

    Args:
      alpha: sharpness of the same pairs.
      beta: sharpness of the different pairs.
      base: the cosine that divides the two (lambda in the paper).
      epsilon: cosine by which a pair may miss the choice, >= 0.

    Call arguments, ``terms``, errors: as ``InBatchLoss``. Embeddings of length 1 are expected, and
    others brought to it. Values are >= 0, a few units at most; lower is better.

    Raises:
      ValueError: ``alpha`` or ``beta`` is not positive, ``base`` is no cosine, or ``epsilon`` is
        negative.
    """

    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        epsilon: float = 0.1,
        name: str = "multi_similarity_loss",
        **options: Any,
    ) -> None:
        require_positive(alpha=alpha, beta=beta)
        if not -1 <= base <= 1:
            raise ValueError(f"base must be a cosine, from -1 to 1, got {base}.")
        if not epsilon >= 0:
            raise ValueError(f"epsilon must be at least 0, got {epsilon}.")
        super().__init__(name=name, **options)
        self.alpha = alpha
        self.beta = beta
        self.base = base
        self.epsilon = epsilon

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this loss again."""
        names = ("alpha", "beta", "base", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def _terms(self, embeddings: Any, same: Any, different: Any) -> tuple[Any, Any]:
        cosine = cosines(embeddings)
        least_same, most_different = lowest(cosine, same), highest(cosine, different)
        positives = ops.logical_and(same, cosine - self.epsilon < most_different[:, None])
        negatives = ops.logical_and(different, cosine + self.epsilon > least_same[:, None])
        above = cosine - self.base
        pull = ops.softplus(log_sum_exp(-self.alpha * above, positives)) / self.alpha
        push = ops.softplus(log_sum_exp(self.beta * above, negatives)) / self.beta
        return one_term_each(pull + push, same)
