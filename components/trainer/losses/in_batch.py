"""What losses that compare all examples of a P x K batch have in common."""

import math
from typing import Any

import keras
from keras import ops

from diptych.components.trainer.argument_checks import shapes_match
from diptych.components.trainer.distances import unit_length

_FAR = 1e9  # beyond every distance and every exponent, yet finite: infinity less infinity is NaN


class InBatchLoss(keras.losses.Loss):
    """A loss over the same and the different pairs that the examples of a batch form.

    Each example is once the anchor. It takes part where the batch holds another example of its
    class, and one of another class; where no anchor does, the loss is 0. No example is paired
    with itself.

    Called, it gives the mean over all terms, 1/N sum_i L_i, as Keras expects. For the weighted
    form over several batches or workers, L = 1/N sum_i w_i L_i, add up ``terms``.

    Memory is n x n numbers, where a class does not say otherwise. All is computed in float32.

    Call arguments:
      y_true: (n,) class numbers.
      y_pred: (n, size) embeddings.

    Raises:
      ValueError: the shapes are others, or the numbers of rows differ.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Keeps the classes apart when Keras turns them into float32.

        There, 2**24 + 1 is 2**24. So a class goes by the row where it first stands.
        """
        self._check(y_true, y_pred)
        first_rows = ops.argmax(_equal(y_true), axis=1)
        return super().__call__(first_rows, y_pred, sample_weight=sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """A value for each anchor, (n,), whose mean is that over all terms."""
        sums, counts = self.terms(y_true, y_pred)
        anchors = ops.cast(ops.shape(sums)[0], "float32")
        # Not divide_no_nan: it gives 0 for NaN over 0.
        return sums * anchors / ops.maximum(ops.sum(counts), 1.0)

    def terms(self, labels: Any, embeddings: Any, examples: Any = None) -> tuple[Any, Any]:
        """The terms of each anchor.

        Args:
          labels: (n,) class numbers.
          embeddings: (n, size), of any float type.
          examples: (n,) numbers of the examples, where one may stand in several rows: two rows of
            one example make no pair. None: each stands in one.

        Returns:
          Sum of the terms, and how many there are, both (n,) float32; 0 and 0 for an anchor that
          takes no part. One embedding that is not finite makes all sums NaN: it would otherwise
          pass unseen where it is not mined.
        """
        self._check(labels, embeddings)
        embeddings = ops.cast(embeddings, "float32")
        equal = _equal(labels)
        if examples is None:
            examples = ops.arange(ops.shape(equal)[0])
        same = ops.logical_and(equal, ops.logical_not(_equal(examples)))
        different = ops.logical_not(equal)
        both = ops.logical_and(
            ops.any(same, axis=1, keepdims=True), ops.any(different, axis=1, keepdims=True)
        )
        sums, counts = self._terms(
            embeddings, ops.logical_and(same, both), ops.logical_and(different, both)
        )
        return ops.where(ops.all(ops.isfinite(embeddings)), sums, math.nan), counts

    def _terms(self, embeddings: Any, same: Any, different: Any) -> tuple[Any, Any]:
        """What ``terms`` gives, of finite embeddings.

        Args:
          embeddings: (n, size) float32.
          same: (n, n) bool, whether a row's anchor has this positive.
          different: (n, n) bool, likewise for negatives. The row of an anchor that takes no part
            is False in both.
        """
        raise NotImplementedError

    def _check(self, labels: Any, embeddings: Any) -> None:
        if len(embeddings.shape) != 2 or not shapes_match(
            labels.shape, embeddings.shape[:1], rank=1
        ):
            raise ValueError(
                f"{type(self).__name__} needs labels of shape (n,) and embeddings of shape "
                f"(n, size), got {tuple(labels.shape)} and {tuple(embeddings.shape)}."
            )


def one_term_each(values: Any, same: Any) -> tuple[Any, Any]:
    """Sums and counts, (n,), for a loss with one term for each anchor that takes part.

    Args:
      values: (n,), finite and with finite gradients also where an anchor takes no part.
      same: (n, n), as given to ``_terms``.
    """
    takes_part = ops.any(same, axis=1)
    return ops.where(takes_part, values, 0.0), ops.cast(takes_part, "float32")


def cosines(embeddings: Any) -> Any:
    """(n, n) cosines of all rows; embeddings are brought to length 1 here."""
    units = unit_length(embeddings)
    return ops.matmul(units, ops.transpose(units))


def highest(values: Any, of: Any) -> Any:
    """(n,) highest of each row of ``values`` (n, n) where ``of`` is True; -1e9 if it never is."""
    return ops.max(ops.where(of, values, -_FAR), axis=1)


def lowest(values: Any, of: Any) -> Any:
    """(n,) lowest of each row of ``values`` (n, n) where ``of`` is True; 1e9 if it never is."""
    return ops.min(ops.where(of, values, _FAR), axis=1)


def log_sum_exp(values: Any, of: Any) -> Any:
    """(n,) log(sum(exp(values))) of each row where ``of`` is True; about -1e9 if it never is."""
    return ops.logsumexp(ops.where(of, values, -_FAR), axis=1)


def _equal(labels: Any) -> Any:
    labels = ops.convert_to_tensor(labels)
    return ops.equal(labels[:, None], labels[None, :])
