"""Embedding with Beam: one output shard for each input partition."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam

from diptych.components.common.model_dofn import ModelDoFn
from diptych.inference.embedding_files import write_embeddings
from diptych.inference.pushed_model import PushedModel
from diptych.inference.raw_batch import InputPartition
from diptych.schemas.errors import DataError

REJECTED = "_rejected"  # readers of Parquet folders skip names that start with an underscore
FAILED = "_failed"


@dataclasses.dataclass(eq=False)
class EmbedPartitions(beam.PTransform):
    """Write the embeddings of each partition into a folder shared by all workers.

    Input:  the pipeline.
    Output: a PCollection of the indices of the written partitions. Shards are named
      ``part-00003-of-00010.parquet``; rejected examples are in ``_rejected`` under the same name.
      The content depends only on the partition, so a retried bundle writes the same file.
    Memory: one batch of examples and one row group; one model per process.
    Errors: a partition that cannot be read writes the reason into ``_failed``. An exception would
      reach the user wrapped in an exception of Beam, with its traceback.
    """

    model: Path
    partitions: list[InputPartition]
    folder: Path

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pipeline):
        """See the class."""
        return (
            pipeline
            | "Partitions" >> beam.Create(list(enumerate(self.partitions)))
            | "SpreadPartitions" >> beam.Reshuffle()
            | "Embed"
            >> beam.ParDo(_EmbedPartitionFn(self.model, self.folder, len(self.partitions)))
        )


class _EmbedPartitionFn(ModelDoFn):
    def __init__(self, model: Path, folder: Path, num_partitions: int) -> None:
        super().__init__(PushedModel, model)
        self._folder, self._num_partitions = folder, num_partitions

    def process(self, element: Any) -> Iterator[int]:  # (int, InputPartition); Beam cannot type it
        index, partition = element
        name = f"part-{index:05d}-of-{self._num_partitions:05d}.parquet"
        rejected = self._folder / REJECTED / name
        try:
            write_embeddings(self._model, partition.read(), self._folder / name, rejected)
        except DataError as error:
            (self._folder / FAILED / name).write_text(str(error), encoding="utf-8")
        yield index
