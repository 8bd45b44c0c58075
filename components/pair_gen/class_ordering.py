"""Positions of classes in the layers of a round, along orderings in which neighbours are similar.

Layer j contains the classes with more than j chunks, in the order of the round's similarity
ordering, rotated by a random offset per layer. The rotation moves the batch boundaries, so that
classes separated by a boundary in one layer share a batch in another.
"""

import dataclasses
from typing import Any

import numpy as np

from diptych.components.pair_gen.hashing import I64, U64
from diptych.components.pair_gen.sorting import argsort_columns


@dataclasses.dataclass(frozen=True)
class ClassOrdering:
    """The similarity orderings and the number of classes in the layers.

    Attributes:
      orderings: (rounds, classes) position in each round's ordering; classes are sorted by
        descending number of chunks.
      num_classes: Number of classes in each segment of layers. They are the first ones.
    """

    orderings: I64
    num_classes: I64
    _ranks: dict[int, I64] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def positions(self, round_index: int, segment: I64, class_rank: I64, salt: U64) -> I64:
        """Return the position of each chunk in its layer.

        Args:
          round_index: Index of the round.
          segment: Segment of layers that contains the chunk.
          class_rank: Rank of the chunk's class, by descending number of chunks.
          salt: Hash that is the same for all chunks of a layer.
        """
        if round_index not in self._ranks:
            self._ranks[round_index] = self._rank_in_segments(self.orderings[round_index])
        num_classes = self.num_classes[segment]
        first = self.num_classes.cumsum() - self.num_classes
        rotation = (salt % num_classes.astype(np.uint64)).astype(np.int64)
        rotated: I64 = (
            self._ranks[round_index][first[segment] + class_rank] + rotation
        ) % num_classes
        return rotated

    def _rank_in_segments(self, ordering: I64) -> I64:
        """Rank the classes of each segment by the ordering; concatenated over segments.

        Each segment has at least one layer, so the result is no longer than the list of chunks in a
        round.
        """
        segment = np.repeat(np.arange(self.num_classes.size), self.num_classes)
        inside = np.arange(segment.size) - (self.num_classes.cumsum() - self.num_classes)[segment]
        ranks = np.empty(segment.size, np.int64)
        ranks[argsort_columns(segment, ordering[inside])] = inside
        return ranks

    def __getstate__(self) -> dict[str, Any]:
        """Drop the cached ranks, which would make the side input many times larger."""
        return {**self.__dict__, "_ranks": {}}
