"""The Beam transforms of ClassCentroids: two passes over the raw examples."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.utils.shared import Shared

from diptych.components.class_centroids.sums import (
    Sums,
    added,
    centroid_table,
    count_labels,
    in_sample,
    labels_of,
    one_each,
)
from diptych.components.common.exported_model import ExportedModel, raw_ids, raw_inputs, read_raw
from diptych.components.common.table_sums import Sum
from diptych.schemas.centroids import write_centroids
from diptych.schemas.input_spec import Inputs

_READ_ROWS = 512
_EMBED_ROWS = 128


@dataclasses.dataclass(eq=False)
class CountLabels(beam.PTransform):
    """Counts the examples of each class.

    Input:  paths of TFRecord files of raw examples.
    Output: one Counter, by label.
    Memory: an entry a class and worker.
    """

    def expand(self, paths):
        return (
            paths
            | "CountInFile" >> beam.Map(_count_file)
            | "SumCounts" >> beam.CombineGlobally(_add_counts)
        )


def _count_file(path: str) -> Counter[bytes]:
    return _add_counts(count_labels(batch) for batch in read_raw(path, _READ_ROWS))


def _add_counts(counts: Iterable[Counter[bytes]]) -> Counter[bytes]:
    total: Counter[bytes] = Counter()
    for some in counts:
        total.update(some)
    return total


@dataclasses.dataclass(eq=False)
class EmbedSample(beam.PTransform):
    """Embeds a sample of each class, and adds the embeddings up.

    Input:  paths of TFRecord files of raw examples.
    Output: one Sums, a row a class, in any order.
    Memory: 8 d bytes a class for embeddings of d numbers, a few times that while adding up.

    The model is always given as many examples at once, so that what it computes for one does not
    depend on its neighbours: kernels are chosen by the shape. What remains are last bits that
    another kind of processor, or number of threads, may give; sums of rounded numbers hide
    nearly all of them.
    """

    model: Path
    inputs: Inputs
    counts: Any  # side input

    def expand(self, paths):
        return (
            paths
            | "Embed" >> beam.ParDo(_Embed(self.model, self.inputs), self.counts)
            | "AddUp" >> beam.CombineGlobally(Sum(added, lambda sums: len(sums.labels)))
        )


class _Embed(beam.DoFn):
    def __init__(self, model: Path, inputs: Inputs) -> None:
        self._path, self._inputs = model, inputs
        self._shared = Shared()  # one model a process

    def setup(self) -> None:
        self._model = self._shared.acquire(lambda: ExportedModel(self._path), tag=str(self._path))

    def process(self, path: str, counts: Counter[bytes]) -> Iterator[Sums]:
        labels, raw = pa.array([], pa.binary()), None
        for batch in read_raw(path, _READ_ROWS):
            rows = in_sample(labels_of(batch), raw_ids(batch), counts)
            sample = batch.take(pa.array(rows))
            labels = pa.concat_arrays([labels, labels_of(sample)])
            values = raw_inputs(sample, self._inputs)
            raw = values if raw is None else np.concatenate([raw, values])
            while len(raw) >= _EMBED_ROWS:
                yield self._sums(labels[:_EMBED_ROWS], raw[:_EMBED_ROWS])
                labels, raw = labels[_EMBED_ROWS:], raw[_EMBED_ROWS:]
        if raw is not None and len(raw):
            yield self._sums(labels, raw)

    def _sums(self, labels: pa.Array, raw: np.ndarray) -> Sums:
        missing = np.repeat(raw[:1], _EMBED_ROWS - len(raw), axis=0)
        embedding = self._model.embed(np.concatenate([raw, missing]))
        return one_each(labels, embedding[: len(raw)])


@dataclasses.dataclass(eq=False)
class FindCentroids(beam.PTransform):
    """All of ClassCentroids.

    Input:  paths of TFRecord files of raw examples.
    Output: the folder, when the centroids are written there.
    """

    model: Path
    inputs: Inputs
    folder: Path

    def expand(self, paths):
        spread = paths | "SpreadFiles" >> beam.Reshuffle()
        counts = beam.pvalue.AsSingleton(spread | CountLabels())
        return (
            spread | EmbedSample(self.model, self.inputs, counts) | "Write" >> beam.Map(self._write)
        )

    def _write(self, total: Sums) -> str:
        write_centroids(self.folder, centroid_table(total))
        return str(self.folder)
