"""The Beam transforms of PairGen. Elements are Arrow record batches, never single rows."""

import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from diptych.components.pair_gen.plan import Plan, make_plan
from diptych.components.pair_gen.rows import (
    flat_rows,
    joined,
    row_bytes,
    row_schema,
    sort_order,
)
from diptych.components.pair_gen.shard import make_tables, placed_rows, placed_schema
from diptych.schemas.config import Pairs
from diptych.schemas.inputs import LEFT_ID, RIGHT_ID, Inputs
from diptych.schemas.shards import Manifest, shard_name

_READ_BYTES = 16 * 2**20  # of a record batch, roughly
_MAX_READ_ROWS = 4096
_BUFFER_BYTES = 64 * 2**20  # rows gathered before they are dealt to partitions

Counts = tuple[np.ndarray, np.ndarray]  # keys, sorted, and a count for each


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
    Errors: DataError where a feature lacks or has the wrong size.
    """

    inputs: Inputs
    seed: int

    def expand(self, paths):
        return (
            paths
            | "SpreadFiles" >> beam.Reshuffle()
            | "Decode" >> beam.FlatMap(self._read).with_output_types(pa.RecordBatch)
        )

    def _read(self, path: str) -> Iterator[pa.RecordBatch]:
        import tensorflow as tf
        from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

        decoder = ExamplesToRecordBatchDecoder()
        rows = min(_MAX_READ_ROWS, max(_READ_BYTES // row_bytes(self.inputs), 1))
        compression = "GZIP" if path.endswith(".gz") else ""
        for serialized in tf.data.TFRecordDataset(path, compression).batch(rows):
            decoded = decoder.DecodeBatch(serialized.numpy().tolist())
            yield flat_rows(decoded, self.inputs, self.seed)


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
            | "CountInBatch" >> beam.Map(_count_keys)
            | "SumCounts" >> beam.CombineGlobally(_SumCounts())
        )


def _count_keys(rows: pa.RecordBatch) -> Counts:
    return np.unique(rows.column("key").to_numpy(), return_counts=True)


class _SumCounts(beam.CombineFn):
    """Accumulates a list of counts, merged as it grows."""

    def create_accumulator(self) -> list[Counts]:
        return []

    def add_input(self, accumulator: list[Counts], element: Counts) -> list[Counts]:
        accumulator.append(element)
        # Merging at every element would take time in the square of the classes.
        return accumulator if len(accumulator) < 64 else self.compact(accumulator)

    def merge_accumulators(self, accumulators: Iterable[list[Counts]]) -> list[Counts]:
        return self.compact([counts for some in accumulators for counts in some])

    def compact(self, accumulator: list[Counts]) -> list[Counts]:
        if len(accumulator) < 2:
            return accumulator
        every = np.concatenate([keys for keys, _ in accumulator])
        amounts = np.concatenate([counts for _, counts in accumulator])
        keys, place = np.unique(every, return_inverse=True)
        sums = np.zeros(keys.size, np.int64)
        np.add.at(sums, place, amounts)
        return [(keys, sums)]

    def extract_output(self, accumulator: list[Counts]) -> Counts:
        nothing = (np.zeros(0, np.uint64), np.zeros(0, np.int64))
        return self.compact([nothing, *accumulator])[0]


@dataclasses.dataclass(eq=False)
class DealToPartitions(beam.PTransform):
    """Deals rows to partitions, so that a worker can sort them.

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
        partitions = _partitions(rows, self._plan)
        order = np.argsort(partitions, kind="stable")
        rows, partitions = rows.take(pa.array(order)), partitions[order]
        numbers, starts = np.unique(partitions, return_index=True)
        ends = np.append(starts[1:], partitions.size)
        return [
            (int(number), rows.slice(int(start), int(end - start)))
            for number, start, end in zip(numbers, starts, ends, strict=True)
        ]


def _partitions(rows: pa.RecordBatch, plan: Plan) -> np.ndarray:
    classes = plan.classes_of(rows.column("key").to_numpy())
    return plan.partitions_of(classes, rows.column("hash").to_numpy())


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
        counts = beam.pvalue.AsSingleton(
            dealt
            | "CountDealt" >> beam.Map(_count_partition)
            | "SumDealt" >> beam.CombineGlobally(_SumCounts())
        )
        placed = beam.FlatMap(_place, self.plan, counts, self.inputs, self.num_shards)
        return (
            dealt
            | "GroupByPartition" >> beam.GroupByKey()
            | "Place" >> placed.with_output_types(tuple[int, pa.RecordBatch])
        )


def _place(
    dealt: tuple[int, Iterable[pa.RecordBatch]],
    plan: Plan,
    partition_sizes: Counts,
    inputs: Inputs,
    num_shards: int,
) -> list[tuple[int, pa.RecordBatch]]:
    partition, batches = dealt
    rows = joined(batches, row_schema(inputs))
    classes = plan.classes_of(rows.column("key").to_numpy())
    order = sort_order(rows, classes)
    rows, classes = rows.take(pa.array(order)), classes[order]
    sizes = np.zeros(plan.partitions.total, np.int64)
    sizes[partition_sizes[0].astype(np.int64)] = partition_sizes[1]
    first = np.searchsorted(classes, classes)
    ranks = np.arange(classes.size) - first + plan.first_ranks(partition, sizes)[classes]
    places = plan.places_of(classes, ranks)
    return placed_rows(rows, classes, places, num_shards, inputs)


def _count_partition(dealt: tuple[int, pa.RecordBatch]) -> Counts:
    partition, rows = dealt
    return np.array([partition], np.uint64), np.array([rows.num_rows], np.int64)


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
        schema = placed_schema(self.inputs)
        empty = joined([], schema)
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
    grouped: tuple[int, Iterable[pa.RecordBatch]],
    plan: Plan,
    folder: str,
    settings: Pairs,
    inputs: Inputs,
) -> dict[str, int]:
    shard, batches = grouped
    tables = make_tables(joined(batches, placed_schema(inputs)), plan, settings, inputs)
    for name in ("examples", "pairs", "triplets"):
        path = Path(folder, shard_name(name, shard, settings.num_shards))
        _write_beside(path, getattr(tables, name))
    same = int(np.count_nonzero(tables.pairs.column("same").to_numpy()))
    return {
        "shard": shard,
        "num_batches": tables.num_batches,
        "num_placed": tables.examples.num_rows,
        "num_same": same,
        "num_different": tables.pairs.num_rows - same,
        "num_triplets": tables.triplets.num_rows,
    }


def _write_beside(path: Path, table: pa.RecordBatch | pa.Table) -> None:
    """Writes and renames: a worker that is run twice or killed leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        if isinstance(table, pa.RecordBatch):
            with pa.OSFile(str(beside), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_batch(table)
        else:
            pq.write_table(table, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@dataclasses.dataclass(eq=False)
class CountIds(beam.PTransform):
    """Counts distinct examples by their ids, of data that came in pairs.

    Input:  record batches of rows.
    Output: one number.
    """

    def expand(self, rows):
        return (
            rows
            | "IdsByPrefix" >> beam.FlatMap(_ids_by_prefix)
            | "GroupIds" >> beam.GroupByKey()
            | "Distinct" >> beam.MapTuple(lambda _, ids: np.unique(np.concatenate(list(ids))).size)
            | "SumDistinct" >> beam.CombineGlobally(sum)
        )


def _ids_by_prefix(rows: pa.RecordBatch) -> Iterator[tuple[int, np.ndarray]]:
    sides = [rows.column(name).to_numpy(zero_copy_only=False) for name in (LEFT_ID, RIGHT_ID)]
    ids = np.unique(np.concatenate(sides).astype("V16").view(np.uint8).reshape(-1, 16), axis=0)
    for prefix in np.unique(ids[:, 0]):
        yield int(prefix), np.ascontiguousarray(ids[ids[:, 0] == prefix]).view("V16").ravel()


@dataclasses.dataclass(eq=False)
class MakePairs(beam.PTransform):
    """All of PairGen, for one split.

    Input:  record batches of rows.
    Output: the path of the manifest, when all is written.
    """

    split: str
    folder: str
    settings: Pairs
    inputs: Inputs

    def expand(self, rows):
        plan = beam.pvalue.AsSingleton(
            rows | CountClasses() | "Plan" >> beam.Map(self._plan).with_output_types(Plan)
        )
        distinct = (
            rows | CountIds()
            if self.inputs.paired
            else rows.pipeline | "NoIds" >> beam.Create([0])
        )
        return (
            rows
            | DealToPartitions(plan)
            | PlaceRows(self.inputs, self.settings.num_shards, plan)
            | WriteShards(self.folder, self.settings, self.inputs, plan)
            | "AllStats" >> beam.combiners.ToList()
            | "Manifest" >> beam.Map(self._manifest, plan, beam.pvalue.AsSingleton(distinct))
        )

    def _plan(self, counts: Counts) -> Plan:
        return make_plan(self.split, *counts, self.settings, self.inputs)

    def _manifest(self, stats: list[dict[str, int]], plan: Plan, distinct: int) -> str:
        counts = np.zeros(0) if self.inputs.paired else plan.counts
        stats = sorted(stats, key=lambda shard: shard["shard"])
        sums = {
            name: sum(shard[name] for shard in stats) for name in stats[0] if name != "shard"
        }
        manifest = Manifest(
            input=self.inputs.shape,
            num_shards=self.settings.num_shards,
            num_examples=distinct if self.inputs.paired else int(plan.counts.sum()),
            num_classes=counts.size,
            num_singletons=int((counts == 1).sum()),
            batches_per_shard=tuple(shard["num_batches"] for shard in stats),
            **sums,
        )
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        manifest.write(folder)
        return str(folder)

