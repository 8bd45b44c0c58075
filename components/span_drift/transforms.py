"""Beam transform of SpanDrift: one pass over the examples of the window."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa

from diptych.components.common.exported_model import read_raw_batches
from diptych.components.span_drift.sampling import extract_features, max_sample_size, merge_samples
from diptych.schemas.files import atomic_write
from diptych.schemas.input_spec import InputSpec

_READ_BATCH_SIZE = 1024


@dataclasses.dataclass(eq=False)
class WriteSample(beam.PTransform):
    """Sample the three groups of spans and write one Arrow file.

    Input:  paths of TFRecord files of raw examples.
    Output: the path of the file.
    Memory: a few samples, at most 64 MB per group. Elements are Arrow IPC bytes.
    """

    inputs: InputSpec
    spans: Sequence[str]  # the newest last
    path: Path

    def expand(self, paths):
        return (
            paths
            | "SpreadFiles" >> beam.Reshuffle()
            | "Sample" >> beam.Map(self._sample_file)
            | "Merge" >> beam.CombineGlobally(self._merge).without_defaults()
            | "Write" >> beam.Map(self._write)
        )

    def _sample_file(self, path: str) -> bytes:
        batches = read_raw_batches(path, _READ_BATCH_SIZE)
        return self._sample(extract_features(batch, self.inputs, self.spans) for batch in batches)

    def _merge(self, samples: Iterable[bytes]) -> bytes:
        return self._sample(pa.ipc.open_stream(sample).read_all() for sample in samples if sample)

    def _sample(self, tables: Iterable[pa.Table]) -> bytes:
        sample = merge_samples(tables, max_sample_size(self.inputs))
        return b"" if sample is None else _serialize_table(sample)

    def _write(self, sample: bytes) -> str:
        with atomic_write(self.path) as tmp_path:
            tmp_path.write_bytes(sample)
        return str(self.path)


def read_sample(path: Path) -> pa.Table:
    """Read the file of ``WriteSample``."""
    with path.open("rb") as file:
        return pa.ipc.open_stream(file).read_all()


def _serialize_table(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
