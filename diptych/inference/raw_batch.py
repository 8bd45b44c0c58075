"""Raw examples on their way to a pushed model."""

import dataclasses
from collections.abc import Iterator
from typing import Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class RawBatch:
    """Some examples.

    ``values`` are (n,) encoded images as objects, or (n, d) float32 vectors; ``sources`` name the
    file, or the file and the row, of each: ``birds.csv:12``; ``labels`` are those of the
    data, empty for an example without, or None where the data have none; ``ids`` likewise.
    ``rejected`` are those that the model must not be given, with the reason.
    """

    values: np.ndarray
    sources: tuple[str, ...]
    labels: tuple[str, ...] | None
    rejected: tuple[tuple[str, str], ...]
    ids: tuple[str, ...] | None = None


class Part(Protocol):
    """Some of the examples at a path: what one worker reads. Can be pickled."""

    @property
    def num_examples(self) -> int | None:
        """How many there are, with those that will be rejected; None: not known before."""
        ...

    def read(self) -> Iterator[RawBatch]:
        """Reads them, some thousand at a time.

        Raises:
          DataError: a file cannot be read at all.
        """
        ...
