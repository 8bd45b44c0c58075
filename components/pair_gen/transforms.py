"""The Beam transforms of PairGen. Elements are Arrow record batches, never single rows."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from diptych.components.pair_gen.partition import (
    Counts,
    count_distinct,
    count_keys,
    deal,
    example_ids,
    place_partition,
    sum_counts,
)
from diptych.components.pair_gen.plan import Plan, make_plan
from diptych.components.pair_gen.reading import read_rows
from diptych.components.pair_gen.rows import joined
from diptych.components.pair_gen.shard import make_tables, placed_schema
from diptych.components.pair_gen.writing import write_manifest, write_shard
from diptych.schemas.config import Pairs
from diptych.schemas.inputs import Inputs

_BUFFER_BYTES = 64 * 2**20  # rows gathered before they are dealt to partitions
_SUM_EVERY = 64  # counts; summing at each would take time in the square of the classes


class RecordBatchCoder(beam.coders.Coder):
    """Arrow IPC streams; Beam would pickle record batches."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Schema and data."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_batch(value)
        return sink.getvalue().to_pybytes()

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """The record batch."""
        with pa.ipc.open_stream(pa.py_buffer(encoded)) as reader:
            return reader.read_next_batch()

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """Beam asks for it with each batch, and would encode it a second time to tell."""
        return value.nbytes

    def is_deterministic(self) -> bool:
        """Never a key."""
        return False

    def to_type_hint(self) -> type:
        """What it codes."""
        return pa.RecordBatch


beam.coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)


@dataclasses.dataclass(eq=False)
class ReadRows(beam.PTransform):
    """Reads transformed examples.

    Input:  paths of TFRecord files of tf.Examples, gzipped if they end in ``.gz``.
    Output: record batches of rows, see ``rows``.
    Errors: DataError where a feature lacks or has the wrong size, see ``read_rows``.
    """

    inputs: Inputs
    seed: int

    def expand(self, paths):
        return (
            paths
            | "SpreadFiles" >> beam.Reshuffle()
            | "Decode"
            >> beam.FlatMap(read_rows, self.inputs, self.seed).with_output_types(pa.RecordBatch)
        )


@dataclasses.dataclass(eq=False)
class CountClasses(beam.PTransform):
    """Counts the rows of each class.

    Input:  record batches of rows, in any order.
    Output: one (keys, counts), sorted by key.
    Memory: one entry a class and worker, whatever the number of rows.
    """

    def expand(self, rows):
        return (
            rows
            | "CountInBatch" >> beam.Map(count_keys)
            | "SumCounts" >> beam.CombineGlobally(_SumCounts())
        )


class _SumCounts(beam.CombineFn):
    def create_accumulator(self) -> list[Counts]:
        return []

    def add_input(self, accumulator: list[Counts], element: Counts) -> list[Counts]:
        gathered = [*accumulator, element]
        return gathered if len(gathered) < _SUM_EVERY else [sum_counts(gathered)]

    def merge_accumulators(self, accumulators: Iterable[list[Counts]]) -> list[Counts]:
        return [sum_counts(counts for some in accumulators for counts in some)]

    def extract_output(self, accumulator: list[Counts]) -> Counts:
        return sum_counts(accumulator)


@dataclasses.dataclass(eq=False)
class DealRows(beam.PTransform):
    """Deals rows to partitions that a worker can sort.

    Input:  record batches of rows.
    Output: (partition, record batch); all rows of a class, or of a range of a large one, are in
            one partition.
    Memory: 64 MB of rows.
    """

    plan: Any  # side input

    def expand(self, rows):
        dealt = beam.ParDo(_Deal(), self.plan)
        return rows | "Deal" >> dealt.with_output_types(tuple[int, pa.RecordBatch])


class _Deal(beam.DoFn):
    """Gathers rows first: dealt batch by batch, a thousand partitions would get single rows."""

    def start_bundle(self) -> None:
        self._rows: list[pa.RecordBatch] = []
        self._bytes = 0
        self._plan: Plan | None = None

    def process(self, rows: pa.RecordBatch, plan: Plan) -> Iterable[tuple[int, pa.RecordBatch]]:
        self._plan = plan
        self._rows.append(rows)
        self._bytes += rows.nbytes
        return self._deal() if self._bytes >= _BUFFER_BYTES else []

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        for element in self._deal():
            yield WindowedValue(element, window.max_timestamp(), [window])

    def _deal(self) -> list[tuple[int, pa.RecordBatch]]:
        if not self._rows or self._plan is None:
            return []
        rows = joined(self._rows, self._rows[0].schema)
        self._rows, self._bytes = [], 0
        return deal(rows, self._plan)


@dataclasses.dataclass(eq=False)
class PlaceRows(beam.PTransform):
    """Ranks the rows of each class by hash, and finds their places.

    Input:  (partition, record batch).
    Output: (shard, record batch); each row once a shard, with all its places there.
    Memory: a partition: 64 MB of rows, a few times that where classes fall together.
    """

    inputs: Inputs
    num_shards: int
    plan: Any  # side input

    def expand(self, dealt):
        sizes = beam.pvalue.AsSingleton(
            dealt
            | "PartitionSizes" >> beam.Map(_partition_size)
            | "SumSizes" >> beam.CombineGlobally(_SumCounts())
        )
        placed = beam.FlatMap(place_partition, self.plan, sizes, self.inputs, self.num_shards)
        return (
            dealt
            | "GroupByPartition" >> beam.GroupByKey()
            | "Place" >> placed.with_output_types(tuple[int, pa.RecordBatch])
        )


def _partition_size(dealt: tuple[int, pa.RecordBatch]) -> Counts:
    return np.array([dealt[0]], np.uint64), np.array([dealt[1].num_rows], np.int64)


@dataclasses.dataclass(eq=False)
class WriteShards(beam.PTransform):
    """Draws the pairs of each shard and writes its three files.

    Input:  (shard, record batch) with places.
    Output: a dict of counts for each shard, shards without rows included.
    Memory: a shard, so take more shards for more data.
    """

    folder: str
    settings: Pairs
    inputs: Inputs
    plan: Any  # side input

    def expand(self, placed):
        empty = joined([], placed_schema(self.inputs))
        markers = (
            placed.pipeline
            | "AllShards" >> beam.Create(range(self.settings.num_shards))
            | "NoRows"
            >> beam.Map(lambda shard: (shard, empty)).with_output_types(tuple[int, pa.RecordBatch])
        )
        return (
            (placed, markers)
            | "WithEmpty" >> beam.Flatten()
            | "GroupByShard" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write, self.plan, self.folder, self.settings, self.inputs)
        )


def _write(
    placed: tuple[int, Iterable[pa.RecordBatch]],
    plan: Plan,
    folder: str,
    settings: Pairs,
    inputs: Inputs,
) -> dict[str, int]:
    shard, batches = placed
    tables = make_tables(joined(batches, placed_schema(inputs)), plan, settings, inputs)
    return write_shard(tables, shard, settings.num_shards, Path(folder))


@dataclasses.dataclass(eq=False)
class CountExamples(beam.PTransform):
    """Counts the distinct examples by their ids, of data that came in pairs.

    Input:  record batches of rows.
    Output: one number.
    Memory: a 256th of the ids.
    """

    def expand(self, rows):
        return (
            rows
            | "IdsByFirstByte" >> beam.FlatMap(example_ids)
            | "GroupIds" >> beam.GroupByKey()
            | "Distinct" >> beam.Map(count_distinct)
            | "SumDistinct" >> beam.CombineGlobally(sum)
        )


@dataclasses.dataclass(eq=False)
class MakePairs(beam.PTransform):
    """All of PairGen, for one split.

    Input:  record batches of rows.
    Output: the folder of the split, when all is written.
    Errors: DataError where no same or no different pairs could be drawn.
    """

    split: str
    folder: str
    settings: Pairs
    inputs: Inputs

    def expand(self, rows):
        counts = rows | CountClasses()
        plan = beam.pvalue.AsSingleton(
            counts | "Plan" >> beam.Map(self._plan).with_output_types(Plan)
        )
        if self.inputs.paired:
            num_examples = rows | CountExamples()
        else:
            num_examples = counts | "NumExamples" >> beam.Map(lambda counts: int(counts[1].sum()))
        return (
            rows
            | DealRows(plan)
            | PlaceRows(self.inputs, self.settings.num_shards, plan)
            | WriteShards(self.folder, self.settings, self.inputs, plan)
            | "AllStats" >> beam.combiners.ToList()
            | "Manifest" >> beam.Map(self._finish, plan, beam.pvalue.AsSingleton(num_examples))
        )

    def _plan(self, counts: Counts) -> Plan:
        return make_plan(self.split, *counts, self.settings, self.inputs)

    def _finish(self, stats: list[dict[str, int]], plan: Plan, num_examples: int) -> str:
        write_manifest(stats, plan, num_examples, self.inputs, Path(self.folder))
        return self.folder
