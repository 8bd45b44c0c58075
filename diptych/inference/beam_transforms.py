"""Embedding in Beam: one shard for each part of the data."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.utils.shared import Shared

from diptych.inference.embedding_files import write_embeddings
from diptych.inference.pushed_model import PushedModel
from diptych.inference.raw_batch import Part
from diptych.schemas.errors import DataError

REJECTED = "_rejected"  # readers of Parquet folders pass over such names
FAILED = "_failed"


@dataclasses.dataclass(eq=False)
class EmbedParts(beam.PTransform):
    """Writes the embeddings of each part into a folder that all workers see.

    Input:  the pipeline.
    Output: a PCollection of the numbers of the parts, when they are written:
      ``part-00003-of-00010.parquet``, and what was rejected under the same name in ``_rejected``.
      What is in them depends on the part alone: one that is run twice writes the same twice.
    Memory: a batch of examples and a row group, and the model once a process.
    Errors: why a part cannot be read is a file in ``_failed``. Raised here, it would reach the user
      inside Beam's own error, with its trace.
    """

    model: Path
    parts: list[Part]
    folder: Path

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pipeline):
        """See the class."""
        return (
            pipeline
            | "Parts" >> beam.Create(list(enumerate(self.parts)))
            | "SpreadParts" >> beam.Reshuffle()
            | "Embed" >> beam.ParDo(_Embed(self.model, self.folder, len(self.parts)))
        )


class _Embed(beam.DoFn):
    def __init__(self, model: Path, folder: Path, num_parts: int) -> None:
        self._path, self._folder, self._num_parts = model, folder, num_parts
        self._shared = Shared()  # one model a process

    def setup(self) -> None:
        self._model = self._shared.acquire(lambda: PushedModel(self._path), tag=str(self._path))

    def process(self, element: Any) -> Iterator[int]:  # (int, Part): Beam knows no protocols
        number, part = element
        name = f"part-{number:05d}-of-{self._num_parts:05d}.parquet"
        rejected = self._folder / REJECTED / name
        try:
            write_embeddings(self._model, part.read(), self._folder / name, rejected)
        except DataError as error:
            (self._folder / FAILED / name).write_text(str(error), encoding="utf-8")
        yield number
