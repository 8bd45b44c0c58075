"""What a model is trained for: a loss, on a distance, of the terms of a batch."""

from collections.abc import Mapping

import tensorflow as tf

from diptych.components.trainer.batches import ROWS, Kind
from diptych.components.trainer.distances import PairDistance
from diptych.components.trainer.losses import InBatchLoss, TripletLoss, make_loss, make_measure
from diptych.schemas.config.model import Model


class Objective:
    """The weighted sum of the terms of a loss, and how many there are.

    The two are added up over all workers before one is divided by the other,
    L = 1/N sum_i w_i L_i, so that the loss does not depend on how the terms are shared out.

    Args:
      settings: names the loss.
      distance: between two embeddings; the one whose weights are trained, if it has any.
    """

    def __init__(self, settings: Model, distance: PairDistance) -> None:
        self._measure = make_measure(settings.loss, distance)
        self._loss = make_loss(settings.loss, distance)
        self.kind: Kind = "pairs"
        if isinstance(self._loss, InBatchLoss):
            self.kind = "classes"
        elif isinstance(self._loss, TripletLoss):
            self.kind = "triplets"

    def __call__(
        self, embedding: tf.Tensor, terms: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum and number of the terms, both () float32.

        Args:
          embedding: (n, size) of the examples of a step.
          terms: the fields of ``batches.Batch.terms``.
        """
        if self.kind == "classes":
            return self._of_batches(embedding, terms)
        rows = [tf.gather(embedding, terms[name]) for name in ROWS[self.kind]]
        if self.kind == "triplets":
            anchor, positive, negative = rows
            values = self._loss(self._measure(anchor, positive), self._measure(anchor, negative))
        else:
            values = self._loss(terms["same"], self._measure(*rows))
        weight = terms["weight"]
        return tf.reduce_sum(weight * values), tf.cast(tf.size(weight), tf.float32)

    def _of_batches(
        self, embedding: tf.Tensor, terms: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Each P x K batch is complete in itself, so it is compared with itself alone."""
        start, label, example, weight = (
            terms[name] for name in ("start", "label", "example", "weight")
        )

        def sums_of(rows: slice) -> tuple[tf.Tensor, tf.Tensor]:
            sums, counts = self._loss.terms(label[rows], embedding[rows], example[rows])
            return tf.reduce_sum(weight[rows] * sums), tf.reduce_sum(counts)

        total, number = tf.zeros([]), tf.zeros([])
        for batch in range(start.shape[0] - 1):
            first, end = start[batch], start[batch + 1]
            # The last step of an epoch may hold empty batches, which have no highest value.
            sums, count = tf.cond(
                end > first,
                lambda rows=slice(first, end): sums_of(rows),
                lambda: (tf.zeros([]), tf.zeros([])),
            )
            total, number = total + sums, number + count
        return total, number
