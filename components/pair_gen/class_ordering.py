"""Seats of classes in the layers of a round, along lines on which similar classes are neighbours.

A layer holds the classes with so many chunks or more. Its classes sit in the order of the round's
line, which is turned by an offset drawn for each layer: what is one batch in a layer is cut at
another place in the next.
"""

import dataclasses
from typing import Any

import numpy as np

from diptych.components.pair_gen.hashing import I64, U64
from diptych.components.pair_gen.sorting import order_by


@dataclasses.dataclass(frozen=True)
class Seats:
    """The lines, and how many classes sit in the layers.

    Attributes:
      lines: (rounds, classes) place on each round's line, of the class that is first, second ...
        by its number of chunks.
      num_classes: of each run of layers: it is the first classes that sit there.
    """

    lines: I64
    num_classes: I64
    _ranks: dict[int, I64] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def of(self, number: int, run: I64, order: I64, salt: U64) -> I64:
        """The seat of each chunk.

        Args:
          number: of the round.
          run: of layers in which the chunk lies.
          order: of its class, by the number of chunks.
          salt: one value for all chunks of a layer.
        """
        if number not in self._ranks:
            self._ranks[number] = self._all_ranks(self.lines[number])
        num_classes = self.num_classes[run]
        first = self.num_classes.cumsum() - self.num_classes
        turn = (salt % num_classes.astype(np.uint64)).astype(np.int64)
        seats: I64 = (self._ranks[number][first[run] + order] + turn) % num_classes
        return seats

    def _all_ranks(self, line: I64) -> I64:
        """Ranks among the classes of a run, run after run.

        A run has a layer at least, so there are no more of these than chunks in a round.
        """
        run = np.repeat(np.arange(self.num_classes.size), self.num_classes)
        inside = np.arange(run.size) - (self.num_classes.cumsum() - self.num_classes)[run]
        ranks = np.empty(run.size, np.int64)
        ranks[order_by(run, line[inside])] = inside
        return ranks

    def __getstate__(self) -> dict[str, Any]:
        """Ranks are found anew by each worker; they would make the side input many times larger."""
        return {**self.__dict__, "_ranks": {}}
