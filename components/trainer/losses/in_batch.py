"""Base class and helper functions of losses that compare all examples of a P x K batch."""

import math
from typing import Any

import keras
from keras import ops

from diptych.components.trainer.argument_checks import shapes_compatible
from diptych.components.trainer.distances import l2_normalize

# Larger than every distance and every exponent, yet finite: infinity - infinity is NaN.
_LARGE = 1e9


class InBatchLoss(keras.losses.Loss):
    """A loss over the positive and negative pairs that the examples of a batch form.

    Each example is the anchor once. An anchor is valid if the batch contains at least one other
    example of its class and at least one of another class. Without a valid anchor, the loss is 0.
    No example is paired with itself.

    A call returns the mean over all terms, 1/N sum_i L_i, as Keras expects. For the weighted loss
    over several batches or workers, L = 1/N sum_i w_i L_i, sum up the results of ``terms``.

    Memory is n x n numbers, unless a subclass documents otherwise. Everything is computed in
    float32.

    Call arguments:
      y_true: (n,) class numbers.
      y_pred: (n, size) embeddings.

    Raises:
      ValueError: If the shapes are different, or the numbers of rows differ.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Compute the loss, with class numbers that survive the conversion to float32.

        Keras converts ``y_true`` to float32, where 2**24 + 1 equals 2**24. Each class number is
        therefore replaced by the first row of its class.
        """
        self._check_shapes(y_true, y_pred)
        first_rows = ops.argmax(_pairwise_equal(y_true), axis=1)
        return super().__call__(first_rows, y_pred, sample_weight=sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return a value per anchor, (n,), whose mean is the mean over all terms."""
        sums, counts = self.terms(y_true, y_pred)
        num_anchors = ops.cast(ops.shape(sums)[0], "float32")
        # Not divide_no_nan: it returns 0 for NaN / 0.
        return sums * num_anchors / ops.maximum(ops.sum(counts), 1.0)

    def terms(self, labels: Any, embeddings: Any, examples: Any = None) -> tuple[Any, Any]:
        """Compute the sum and the number of the terms of each anchor.

        Args:
          labels: (n,) class numbers.
          embeddings: (n, size), of any float type.
          examples: (n,) example numbers, if an example can occur in several rows: two rows of the
            same example form no pair. None if every row is a different example.

        Returns:
          The sum of the terms and their number, both (n,) float32; 0 and 0 for an invalid anchor.
          If one embedding is not finite, all sums are NaN: mining could otherwise skip it and hide
          the problem.
        """
        self._check_shapes(labels, embeddings)
        embeddings = ops.cast(embeddings, "float32")
        same_class = _pairwise_equal(labels)
        if examples is None:
            examples = ops.arange(ops.shape(same_class)[0])
        positive_mask = ops.logical_and(same_class, ops.logical_not(_pairwise_equal(examples)))
        negative_mask = ops.logical_not(same_class)
        valid = ops.logical_and(
            ops.any(positive_mask, axis=1, keepdims=True),
            ops.any(negative_mask, axis=1, keepdims=True),
        )
        sums, counts = self._terms(
            embeddings,
            ops.logical_and(positive_mask, valid),
            ops.logical_and(negative_mask, valid),
        )
        return ops.where(ops.all(ops.isfinite(embeddings)), sums, math.nan), counts

    def _terms(self, embeddings: Any, positive_mask: Any, negative_mask: Any) -> tuple[Any, Any]:
        """Compute the result of ``terms`` for finite embeddings.

        Args:
          embeddings: (n, size) float32.
          positive_mask: (n, n) bool, True if the column is a positive of the row's anchor.
          negative_mask: (n, n) bool, True if the column is a negative of the row's anchor. The rows
            of invalid anchors are False in both masks.
        """
        raise NotImplementedError

    def _check_shapes(self, labels: Any, embeddings: Any) -> None:
        if len(embeddings.shape) != 2 or not shapes_compatible(
            labels.shape, embeddings.shape[:1], rank=1
        ):
            raise ValueError(
                f"{type(self).__name__} expects labels of shape (n,) and embeddings of shape "
                f"(n, size), got {tuple(labels.shape)} and {tuple(embeddings.shape)}."
            )


def mask_invalid_anchors(values: Any, positive_mask: Any) -> tuple[Any, Any]:
    """Return the sums and counts, (n,), of a loss with one term per valid anchor.

    Args:
      values: (n,), finite and with finite gradients for invalid anchors, too.
      positive_mask: (n, n), as passed to ``InBatchLoss._terms``.
    """
    valid = ops.any(positive_mask, axis=1)
    return ops.where(valid, values, 0.0), ops.cast(valid, "float32")


def pairwise_cosine_similarity(embeddings: Any) -> Any:
    """Compute the (n, n) cosine similarities between all rows; any row lengths are allowed."""
    normalized = l2_normalize(embeddings)
    return ops.matmul(normalized, ops.transpose(normalized))


def masked_max(values: Any, mask: Any) -> Any:
    """Row maxima (n,) of ``values`` (n, n) where ``mask`` is True; -1e9 for an empty row."""
    return ops.max(ops.where(mask, values, -_LARGE), axis=1)


def masked_min(values: Any, mask: Any) -> Any:
    """Row minima (n,) of ``values`` (n, n) where ``mask`` is True; 1e9 for an empty row."""
    return ops.min(ops.where(mask, values, _LARGE), axis=1)


def masked_log_sum_exp(values: Any, mask: Any) -> Any:
    """log(sum(exp(values))) per row (n,), where ``mask`` is True; about -1e9 for an empty row."""
    return ops.logsumexp(ops.where(mask, values, -_LARGE), axis=1)


def _pairwise_equal(labels: Any) -> Any:
    labels = ops.convert_to_tensor(labels)
    return ops.equal(labels[:, None], labels[None, :])
