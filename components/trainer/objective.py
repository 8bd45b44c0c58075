"""Training objective: the configured loss, applied to the loss terms of a batch."""

from collections.abc import Mapping

import tensorflow as tf

from diptych.components.trainer.batches import INDEX_COLUMNS, TermKind
from diptych.components.trainer.distances import PairDistance
from diptych.components.trainer.losses import (
    InBatchLoss,
    TripletLoss,
    make_loss,
    make_pair_predictor,
)
from diptych.schemas.config.model import ModelConfig


class Objective:
    """The weighted sum of the terms of a loss, and their number.

    Both are summed over all workers before they are divided, L = 1/N sum_i w_i L_i, so the loss
    does not depend on how the terms are partitioned.

    Args:
      settings: Section ``model``, with the loss.
      distance: Distance between two embeddings; its weights, if any, are trained.

    Attributes:
      term_kind: Kind of terms that the loss uses.
    """

    def __init__(self, settings: ModelConfig, distance: PairDistance) -> None:
        self._predict_pairs = make_pair_predictor(settings.loss, distance)
        self._loss = make_loss(settings.loss, distance)
        self.term_kind: TermKind = "pairs"
        if isinstance(self._loss, InBatchLoss):
            self.term_kind = "classes"
        elif isinstance(self._loss, TripletLoss):
            self.term_kind = "triplets"

    def __call__(
        self, embedding: tf.Tensor, terms: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute the sum and the number of the terms, both () float32.

        Args:
          embedding: (n, size) embeddings of the examples of a step.
          terms: See ``batches.TrainingBatch.terms``.
        """
        if self.term_kind == "classes":
            return self._sum_in_batch_terms(embedding, terms)
        rows = [tf.gather(embedding, terms[name]) for name in INDEX_COLUMNS[self.term_kind]]
        if self.term_kind == "triplets":
            anchor, positive, negative = rows
            values = self._loss(
                self._predict_pairs(anchor, positive), self._predict_pairs(anchor, negative)
            )
        else:
            values = self._loss(terms["same"], self._predict_pairs(*rows))
        weight = terms["weight"]
        return tf.reduce_sum(weight * values), tf.cast(tf.size(weight), tf.float32)

    def _sum_in_batch_terms(
        self, embedding: tf.Tensor, terms: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum the terms of each P x K batch, whose examples are compared with each other only."""
        start, label, example, weight = (
            terms[name] for name in ("start", "label", "example", "weight")
        )

        def sum_terms(rows: slice) -> tuple[tf.Tensor, tf.Tensor]:
            sums, counts = self._loss.terms(label[rows], embedding[rows], example[rows])
            return tf.reduce_sum(weight[rows] * sums), tf.reduce_sum(counts)

        total, number = tf.zeros([]), tf.zeros([])
        for batch in range(start.shape[0] - 1):
            first, end = start[batch], start[batch + 1]
            # The last step of an epoch may contain empty batches, which have no maximum.
            batch_sum, batch_count = tf.cond(
                end > first,
                lambda rows=slice(first, end): sum_terms(rows),
                lambda: (tf.zeros([]), tf.zeros([])),
            )
            total, number = total + batch_sum, number + batch_count
        return total, number
