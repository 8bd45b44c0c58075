"""Batches of raw examples, the input of a pushed model."""

import dataclasses
from collections.abc import Iterator
from typing import Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class RawBatch:
    """A batch of raw examples.

    Attributes:
      values: (n,) encoded images as objects, or (n, d) float32 vectors.
      sources: File, or file and row (``birds.csv:12``), of each example.
      labels: Label of each example, empty if the example has none; None if the data are unlabelled.
      rejected: Sources and reasons of the examples that the model cannot process.
      ids: Id of each example, in the same form as ``labels``.
    """

    values: np.ndarray
    sources: tuple[str, ...]
    labels: tuple[str, ...] | None
    rejected: tuple[tuple[str, str], ...]
    ids: tuple[str, ...] | None = None


class InputPartition(Protocol):
    """A part of the examples at a path, read by one worker. Picklable."""

    @property
    def num_examples(self) -> int | None:
        """Number of examples, including rejected ones; None if unknown before reading."""
        ...

    def read(self) -> Iterator[RawBatch]:
        """Read the examples in batches of up to a few thousand.

        Raises:
          DataError: If a file cannot be read.
        """
        ...
