"""Pairs with the distances that a model gives them."""

import dataclasses

import numpy as np

from diptych.schemas.shards import SAME


@dataclasses.dataclass(frozen=True)
class Judged:
    """Pairs of a number of distinct examples.

    Attributes:
      num_examples: how many there are.
      left: (m,) rows of the examples.
      right: (m,) likewise.
      same: (m,) 1 or 0.
      distance: (m,) lower is more alike.
    """

    num_examples: int
    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    distance: np.ndarray

    @property
    def is_same(self) -> np.ndarray:
        """(m,) bool."""
        same: np.ndarray = self.same == SAME
        return same

    def right_at(self, threshold: float) -> np.ndarray:
        """(m,) bool: which are told right, where ``distance <= threshold`` means same."""
        right: np.ndarray = (self.distance <= threshold) == self.is_same
        return right

    def among(self, examples: np.ndarray) -> "Judged":
        """The pairs with both of their examples among some.

        Args:
          examples: (num_examples,) bool.
        """
        kept = examples[self.left] & examples[self.right]
        row = np.cumsum(examples) - 1
        return Judged(
            num_examples=int(examples.sum()),
            left=row[self.left[kept]],
            right=row[self.right[kept]],
            same=self.same[kept],
            distance=self.distance[kept],
        )
