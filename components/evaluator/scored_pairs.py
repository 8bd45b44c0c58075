"""Example pairs with the distances that a model assigns to them."""

import dataclasses

import numpy as np

from diptych.schemas.shards import POSITIVE


@dataclasses.dataclass(frozen=True)
class ScoredPairs:
    """Pairs of distinct examples, with labels and distances.

    Attributes:
      num_examples: Number of distinct examples, n.
      left: (m,) example rows in [0, n).
      right: (m,) example rows in [0, n).
      same: (m,) 1 for a positive pair, 0 for a negative pair.
      distance: (m,) distances; lower is more similar.
    """

    num_examples: int
    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    distance: np.ndarray

    @property
    def is_positive(self) -> np.ndarray:
        """(m,) bool mask of the positive pairs."""
        positive: np.ndarray = self.same == POSITIVE
        return positive

    @property
    def num_positive(self) -> int:
        """Number of positive pairs."""
        return int(self.is_positive.sum())

    @property
    def num_negative(self) -> int:
        """Number of negative pairs."""
        return len(self.same) - self.num_positive

    def is_correct(self, threshold: float) -> np.ndarray:
        """(m,) bool mask of the pairs classified correctly by ``distance <= threshold``."""
        correct: np.ndarray = (self.distance <= threshold) == self.is_positive
        return correct

    def subset(self, examples: np.ndarray) -> "ScoredPairs":
        """Return the pairs with both examples in a subset; rows are renumbered.

        Args:
          examples: (num_examples,) bool mask of the examples to keep.
        """
        kept = examples[self.left] & examples[self.right]
        new_row = np.cumsum(examples) - 1
        return ScoredPairs(
            num_examples=int(examples.sum()),
            left=new_row[self.left[kept]],
            right=new_row[self.right[kept]],
            same=self.same[kept],
            distance=self.distance[kept],
        )
