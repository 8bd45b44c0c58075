"""The Beam transform of SpanDrift: one pass over the examples of the window."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa

from diptych.components.common.exported_model import read_raw
from diptych.components.span_drift.sampling import features_of, sample_of, sample_size
from diptych.schemas.files import whole_file
from diptych.schemas.input_spec import Inputs

_READ_ROWS = 1024


@dataclasses.dataclass(eq=False)
class WriteSample(beam.PTransform):
    """Draws the sample of the three groups of spans and writes it as one Arrow file.

    Input:  paths of TFRecord files of raw examples.
    Output: the path of the file.
    Memory: some samples, of 64 MB a group at most. Elements are Arrow IPC bytes.
    """

    inputs: Inputs
    spans: Sequence[str]  # the newest last
    path: Path

    def expand(self, paths):
        return (
            paths
            | "SpreadFiles" >> beam.Reshuffle()
            | "Sample" >> beam.Map(self._of_file)
            | "Merge" >> beam.CombineGlobally(self._merge).without_defaults()
            | "Write" >> beam.Map(self._write)
        )

    def _of_file(self, path: str) -> bytes:
        batches = read_raw(path, _READ_ROWS)
        return self._sample(features_of(batch, self.inputs, self.spans) for batch in batches)

    def _merge(self, samples: Iterable[bytes]) -> bytes:
        return self._sample(pa.ipc.open_stream(sample).read_all() for sample in samples if sample)

    def _sample(self, tables: Iterable[pa.Table]) -> bytes:
        sample = sample_of(tables, sample_size(self.inputs))
        return b"" if sample is None else _to_bytes(sample)

    def _write(self, sample: bytes) -> str:
        with whole_file(self.path) as beside:
            beside.write_bytes(sample)
        return str(self.path)


def read_sample(path: Path) -> pa.Table:
    """Reads what ``WriteSample`` has written."""
    with path.open("rb") as file:
        return pa.ipc.open_stream(file).read_all()


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
