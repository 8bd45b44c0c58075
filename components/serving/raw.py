"""Raw examples from files, in the form that a pushed model takes."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from diptych.schemas.manifest import ModelManifest


@dataclasses.dataclass(frozen=True)
class RawBatch:
    """Some examples.

    ``values`` are (n,) encoded images as objects, or (n, d) float32 vectors; ``sources`` name the
    file, or the file and the row (from 0), of each: ``birds.csv:12``; ``labels`` are those of the
    data, or None where they have none. ``rejected`` are those that the model must not be given,
    with the reason.
    """

    values: np.ndarray
    sources: tuple[str, ...]
    labels: tuple[str, ...] | None
    rejected: tuple[tuple[str, str], ...]


def read_examples(path: Path, manifest: ModelManifest) -> Iterator[RawBatch]:
    """Reads all examples at a path, in the order of their names and rows.

    Args:
      path: of an image or a folder of them, whose labels are their folders below ``path``; or of a
        table (CSV or Parquet), a row of one (``birds.csv:12``), or a folder of tables.
      manifest: of the model; says what an example holds, and the bounds of images.

    Raises:
      DataError: there is nothing there, or no table with the model's columns.
    """
    raise NotImplementedError
