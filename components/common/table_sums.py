"""Beam's sums of tables: counts of classes, sums of embeddings."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam

_AT_LEAST = 2**14  # entries; below it, sums cost more than memory

_Gathered = tuple[list[Any], int]  # elements, and entries until they are added up


@dataclasses.dataclass(eq=False)
class Sum(beam.CombineFn):
    """Adds up elements, as many at a time as are together as large as the sum so far.

    At each one it would take time in the square of the classes; all at once, memory for each.

    Attributes:
      add: sums up elements; none, too.
      size: of an element, in entries.
    """

    add: Callable[[Iterable[Any]], Any]
    size: Callable[[Any], int]

    def create_accumulator(self) -> _Gathered:
        return [], 0

    def add_input(self, accumulator: _Gathered, element: Any) -> _Gathered:
        gathered, room = accumulator
        gathered.append(element)
        room -= self.size(element)
        if room > 0:
            return gathered, room
        total = self.add(gathered)
        return [total], max(self.size(total), _AT_LEAST)

    def merge_accumulators(self, accumulators: Iterable[_Gathered]) -> _Gathered:
        merged = self.create_accumulator()
        for gathered, _ in accumulators:
            for element in gathered:
                merged = self.add_input(merged, element)
        return merged

    def extract_output(self, accumulator: _Gathered) -> Any:
        return self.add(accumulator[0])
