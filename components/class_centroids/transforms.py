"""Beam transforms of ClassCentroids: two passes over the raw examples."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from diptych.components.class_centroids.centroid_sums import (
    EmbeddingSums,
    count_labels,
    decode_labels,
    make_centroid_table,
    merge_sums,
    select_sample,
    sum_embeddings,
)
from diptych.components.common.exported_model import (
    ExportedModel,
    extract_ids,
    extract_inputs,
    read_raw_batches,
)
from diptych.components.common.model_dofn import ModelDoFn
from diptych.components.common.table_sums import TableSumFn
from diptych.schemas.centroids import write_centroids
from diptych.schemas.input_spec import InputSpec

_READ_BATCH_SIZE = 512
_EMBED_BATCH_SIZE = 128


@dataclasses.dataclass(eq=False)
class CountLabels(beam.PTransform):
    """Count the examples of each class.

    Input:  paths of TFRecord files of raw examples.
    Output: one Counter, by label.
    Memory: one entry per class and worker.
    """

    def expand(self, paths):
        return (
            paths
            | "CountInFile" >> beam.Map(_count_labels_in_file)
            | "SumCounts" >> beam.CombineGlobally(_sum_label_counts)
        )


def _count_labels_in_file(path: str) -> Counter[bytes]:
    return _sum_label_counts(
        count_labels(batch) for batch in read_raw_batches(path, _READ_BATCH_SIZE)
    )


def _sum_label_counts(counts: Iterable[Counter[bytes]]) -> Counter[bytes]:
    total: Counter[bytes] = Counter()
    for part in counts:
        total.update(part)
    return total


@dataclasses.dataclass(eq=False)
class EmbedSample(beam.PTransform):
    """Embed a sample of each class and sum the embeddings.

    Input:  paths of TFRecord files of raw examples.
    Output: one EmbeddingSums, one row per class, in any order.
    Memory: 8 d bytes per class for embeddings of size d, and a few times that while summing.

    The model always gets batches of the same size, so that the embedding of an example does not
    depend on the rest of the batch: kernels are chosen by shape. Another kind of processor or
    number of threads can still change the last bits; sums of rounded numbers hide nearly all of
    these differences.
    """

    model: Path
    inputs: InputSpec
    counts: Any  # side input

    def expand(self, paths):
        return (
            paths
            | "Embed" >> beam.ParDo(_EmbedSampleFn(self.model, self.inputs), self.counts)
            | "SumEmbeddings"
            >> beam.CombineGlobally(TableSumFn(merge_sums, lambda sums: len(sums.labels)))
        )


class _EmbedSampleFn(ModelDoFn):
    def __init__(self, model: Path, inputs: InputSpec) -> None:
        super().__init__(ExportedModel, model)
        self._inputs = inputs

    def process(self, path: str, counts: Counter[bytes]) -> Iterator[EmbeddingSums]:
        labels, raw = pa.array([], pa.binary()), None
        for batch in read_raw_batches(path, _READ_BATCH_SIZE):
            rows = select_sample(decode_labels(batch), extract_ids(batch), counts)
            sample = batch.take(pa.array(rows))
            labels = pa.concat_arrays([labels, decode_labels(sample)])
            values = extract_inputs(sample, self._inputs)
            raw = values if raw is None else np.concatenate([raw, values])
            while len(raw) >= _EMBED_BATCH_SIZE:
                yield self._embed_and_sum(labels[:_EMBED_BATCH_SIZE], raw[:_EMBED_BATCH_SIZE])
                labels, raw = labels[_EMBED_BATCH_SIZE:], raw[_EMBED_BATCH_SIZE:]
        if raw is not None and len(raw):
            yield self._embed_and_sum(labels, raw)

    def _embed_and_sum(self, labels: pa.Array, raw: np.ndarray) -> EmbeddingSums:
        batch_padding = np.repeat(raw[:1], _EMBED_BATCH_SIZE - len(raw), axis=0)
        embedding = self._model.embed(np.concatenate([raw, batch_padding]))
        return sum_embeddings(labels, embedding[: len(raw)])


@dataclasses.dataclass(eq=False)
class ComputeCentroids(beam.PTransform):
    """Run all of ClassCentroids.

    Input:  paths of TFRecord files of raw examples.
    Output: the folder, once the centroids are written.
    """

    model: Path
    inputs: InputSpec
    folder: Path

    def expand(self, paths):
        spread = paths | "SpreadFiles" >> beam.Reshuffle()
        counts = beam.pvalue.AsSingleton(spread | CountLabels())
        return (
            spread | EmbedSample(self.model, self.inputs, counts) | "Write" >> beam.Map(self._write)
        )

    def _write(self, total: EmbeddingSums) -> str:
        write_centroids(self.folder, make_centroid_table(total))
        return str(self.folder)
