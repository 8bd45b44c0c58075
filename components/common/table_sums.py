"""Beam CombineFn for tables, such as counts per class and sums of embeddings."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam

_MIN_ENTRIES = 2**14  # entries; below it, summing costs more than the memory it saves

_Accumulator = tuple[list[Any], int]  # elements, and remaining entries until they are summed


@dataclasses.dataclass(eq=False)
class TableSumFn(beam.CombineFn):
    """Sum elements in groups that are together as large as the sum so far.

    Adding each element individually would take quadratic time in the number of classes; adding all
    at once would need memory for all of them.

    Attributes:
      add: Function that sums elements, including none.
      size: Function that returns the number of entries of an element.
    """

    add: Callable[[Iterable[Any]], Any]
    size: Callable[[Any], int]

    def create_accumulator(self) -> _Accumulator:
        return [], 0

    def add_input(self, accumulator: _Accumulator, element: Any) -> _Accumulator:
        pending, remaining = accumulator
        pending.append(element)
        remaining -= self.size(element)
        if remaining > 0:
            return pending, remaining
        total = self.add(pending)
        return [total], max(self.size(total), _MIN_ENTRIES)

    def merge_accumulators(self, accumulators: Iterable[_Accumulator]) -> _Accumulator:
        merged = self.create_accumulator()
        for pending, _ in accumulators:
            for element in pending:
                merged = self.add_input(merged, element)
        return merged

    def extract_output(self, accumulator: _Accumulator) -> Any:
        return self.add(accumulator[0])
