"""Beam transforms of PairGen. Elements are references to record batches on disk."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from diptych.components.common.table_sums import TableSumFn
from diptych.components.pair_gen.balance import (
    ShardStats,
    check_pair_counts,
    compute_shard_stats,
    count_unique_in_range,
    make_balance,
    split_by_range,
    sum_shard_stats,
)
from diptych.components.pair_gen.hashing import hash_labels
from diptych.components.pair_gen.partition import (
    KeyCounts,
    assign_partition_slots,
    count_keys,
    count_unique_ids,
    group_ids_by_first_byte,
    partition_rows,
    sum_counts,
)
from diptych.components.pair_gen.plan import Plan, make_plan
from diptych.components.pair_gen.read_examples import read_transformed_rows
from diptych.components.pair_gen.rows import concat_batches
from diptych.components.pair_gen.shard import make_shard_tables, routed_schema
from diptych.components.pair_gen.similarity_ordering import CentroidPoints
from diptych.components.pair_gen.spool import (
    BatchRef,
    load_batch,
    load_batches,
    spill_batches,
    spill_keyed_batches,
    spool_folder,
)
from diptych.components.pair_gen.write_shards import write_manifest, write_shard
from diptych.schemas.centroids import read_centroids
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.input_spec import InputSpec

_BUFFER_BYTES = 64 * 2**20  # rows buffered before they are partitioned


@dataclasses.dataclass(eq=False)
class ReadRows(beam.PTransform):
    """Read transformed examples.

    Input:  paths of TFRecord files of tf.Examples, gzipped if they end in ``.gz``.
    Output: references to rows, see ``rows``.
    Errors: DataError if a feature is missing or has the wrong size, see ``read_transformed_rows``.
    """

    inputs: InputSpec
    seed: int
    spool: str

    def expand(self, paths):
        return (
            paths
            | "SpreadFiles" >> beam.Reshuffle()
            | "Decode" >> beam.FlatMap(self._read).with_output_types(BatchRef)
        )

    def _read(self, path: str) -> list[BatchRef]:
        return spill_batches(read_transformed_rows(path, self.inputs, self.seed), self.spool)


@dataclasses.dataclass(eq=False)
class CountClasses(beam.PTransform):
    """Count the rows of each class.

    Input:  references to rows, in any order.
    Output: one (keys, counts), sorted by key.
    Memory: one entry per class and worker, independent of the number of rows.
    """

    def expand(self, rows):
        return (
            rows
            | "CountInBatch" >> beam.Map(lambda ref: count_keys(load_batch(ref)))
            | "SumCounts" >> beam.CombineGlobally(TableSumFn(sum_counts, _num_keys))
        )


def _num_keys(counts: KeyCounts) -> int:
    return counts[0].size


@dataclasses.dataclass(eq=False)
class PartitionRows(beam.PTransform):
    """Divide rows into partitions that a worker can sort.

    Input:  references to rows.
    Output: (partition, reference); all rows of a class, or of a hash range of a large class, are in
            one partition.
    Memory: 64 MB of rows, twice.
    """

    spool: str
    plan: Any  # side input

    def expand(self, rows):
        partitioned = beam.ParDo(_PartitionRowsFn(self.spool), self.plan)
        return rows | "Partition" >> partitioned.with_output_types(tuple[int, BatchRef])


class _PartitionRowsFn(beam.DoFn):
    """Partition rows from a buffer; partitioning single batches would give tiny pieces."""

    def __init__(self, spool: str):
        self._spool = spool

    def start_bundle(self) -> None:
        self._rows: list[pa.RecordBatch] = []
        self._bytes = 0
        self._plan: Plan | None = None

    def process(self, ref: BatchRef, plan: Plan) -> Iterable[tuple[int, BatchRef]]:
        self._plan = plan
        self._rows.append(load_batch(ref))
        self._bytes += self._rows[-1].nbytes
        return self._partition_buffer() if self._bytes >= _BUFFER_BYTES else []

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        for element in self._partition_buffer():
            yield WindowedValue(element, window.max_timestamp(), [window])

    def _partition_buffer(self) -> list[tuple[int, BatchRef]]:
        if not self._rows or self._plan is None:
            return []
        rows = concat_batches(self._rows, self._rows[0].schema)
        self._rows, self._bytes = [], 0
        return spill_keyed_batches(partition_rows(rows, self._plan), self._spool)


@dataclasses.dataclass(eq=False)
class AssignSlots(beam.PTransform):
    """Rank the rows of each class by hash, and assign their slots.

    Input:  (partition, reference).
    Output: (shard, reference); each row once per shard and block, with all its slots there.
    Memory: a partition: 64 MB of rows, and the slots of a block of them.
    """

    inputs: InputSpec
    spool: str
    plan: Any  # side input

    def expand(self, partitioned):
        sizes = beam.pvalue.AsSingleton(
            partitioned
            | "PartitionSizes" >> beam.Map(_count_partition_rows)
            | "SumSizes" >> beam.CombineGlobally(TableSumFn(sum_counts, _num_keys))
        )
        routed = beam.FlatMap(self._assign, self.plan, sizes)
        return (
            partitioned
            | "GroupByPartition" >> beam.GroupByKey()
            | "AssignSlots" >> routed.with_output_types(tuple[int, BatchRef])
        )

    def _assign(
        self, partitioned: tuple[int, Iterable[BatchRef]], plan: Plan, sizes: KeyCounts
    ) -> list[tuple[int, BatchRef]]:
        partition, refs = partitioned
        routed = assign_partition_slots((partition, load_batches(refs)), plan, sizes, self.inputs)
        return spill_keyed_batches(routed, self.spool)


def _count_partition_rows(partitioned: tuple[int, BatchRef]) -> KeyCounts:
    partition, (_, _, rows) = partitioned
    return np.array([partition], np.uint64), np.array([rows], np.int64)


@dataclasses.dataclass(eq=False)
class WriteShards(beam.PTransform):
    """Sample the pairs of each shard and write its three files.

    Input:  (shard, reference) with slots.
    Output: ``stats``, the statistics of each shard, including shards without rows; and ``covered``,
            the examples that are in a pair, by range.
    Memory: a shard three times; the number of shards keeps each below ``plan.SHARD_BYTES``.
    """

    folder: str
    settings: PairsConfig
    inputs: InputSpec
    plans: Any  # a PCollection of one plan

    def expand(self, routed):
        markers = self.plans | "AllShards" >> beam.FlatMap(_list_shard_markers).with_output_types(
            tuple[int, BatchRef]
        )
        plan = beam.pvalue.AsSingleton(self.plans)
        return (
            (routed, markers)
            | "WithEmpty" >> beam.Flatten()
            | "GroupByShard" >> beam.GroupByKey()
            | "Write" >> beam.FlatMap(self._write, plan).with_outputs("covered", main="stats")
        )

    def _write(self, routed: tuple[int, Iterable[BatchRef]], plan: Plan) -> Iterator[Any]:
        shard, refs = routed
        batches = load_batches(ref for ref in refs if ref[2])
        rows = concat_batches(batches, routed_schema(self.inputs))
        tables = make_shard_tables(rows, plan, self.settings, self.inputs)
        yield compute_shard_stats(
            tables, write_shard(tables, shard, plan.num_shards, Path(self.folder))
        )
        for covered in split_by_range(tables.covered):
            yield beam.pvalue.TaggedOutput("covered", covered)


def _list_shard_markers(plan: Plan) -> list[tuple[int, BatchRef]]:
    """List a reference without rows for each shard, so that empty shards are written too."""
    return [(shard, ("", 0, 0)) for shard in range(plan.num_shards)]


@dataclasses.dataclass(eq=False)
class CountUniqueExamples(beam.PTransform):
    """Count the distinct examples of given pairs by their ids.

    Input:  references to rows.
    Output: one number.
    Memory: a 256th of the ids.
    """

    def expand(self, rows):
        return (
            rows
            | "IdsByFirstByte" >> beam.FlatMap(lambda ref: group_ids_by_first_byte(load_batch(ref)))
            | "GroupIds" >> beam.GroupByKey()
            | "CountUnique" >> beam.Map(count_unique_ids)
            | "SumUnique" >> beam.CombineGlobally(sum)
        )


@dataclasses.dataclass(eq=False)
class MakePairs(beam.PTransform):
    """Run all of PairGen for one split.

    Input:  paths of transformed examples, see ``ReadRows``.
    Output: the folder of the split, once complete: the shards, the balance report in a separate
            folder, and last the manifest. All workers need access to these folders and to
            ``spool_folder``.
    Errors: DataError if the split has no positive or no negative pairs.
    """

    split: str
    folder: str
    settings: PairsConfig
    inputs: InputSpec
    balance: str
    centroids: str | None = None  # folder; similar classes share batches

    def expand(self, paths):
        spool = spool_folder(self.folder)
        rows = paths | ReadRows(self.inputs, self.settings.seed, spool)
        counts = rows | CountClasses()
        plans = counts | "Plan" >> beam.Map(self._plan).with_output_types(Plan)
        plan = beam.pvalue.AsSingleton(plans)
        if self.inputs.paired:
            num_examples = rows | CountUniqueExamples()
        else:
            num_examples = counts | "NumExamples" >> beam.Map(lambda counts: int(counts[1].sum()))
        written = (
            rows
            | PartitionRows(spool, plan)
            | AssignSlots(self.inputs, spool, plan)
            | WriteShards(self.folder, self.settings, self.inputs, plans)
        )
        num_covered = (
            written.covered
            | "GroupCovered" >> beam.GroupByKey()
            | "CountCovered" >> beam.Map(count_unique_in_range)
        )
        example_counts = beam.pvalue.AsSingleton(num_examples), beam.pvalue.AsIter(num_covered)
        return (
            written.stats
            | "SumStats"
            >> beam.CombineGlobally(
                TableSumFn(sum_shard_stats, lambda stats: stats.pairs_per_class[0].size)
            )
            | "Finish" >> beam.Map(self._finish, plan, *example_counts)
        )

    def _plan(self, counts: KeyCounts) -> Plan:
        centroids = None
        if self.centroids is not None:
            labels, points = read_centroids(Path(self.centroids))
            centroids = CentroidPoints(hash_labels(labels), points)
        return make_plan(self.split, *counts, self.settings, self.inputs, centroids)

    def _finish(
        self, stats: ShardStats, plan: Plan, num_examples: int, num_covered: Iterable[int]
    ) -> str:
        balance = make_balance(plan, stats, num_examples, sum(num_covered))
        check_pair_counts(balance, self.settings)
        balance.write(Path(self.balance))
        write_manifest(stats.manifest_counts, plan, num_examples, self.inputs, Path(self.folder))
        return self.folder
