"""The Beam transforms of PairGen. Elements are pieces: where a record batch lies on disk."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from diptych.components.common.table_sums import Sum
from diptych.components.pair_gen.balance import (
    Use,
    by_range,
    check_pairs,
    count_covered,
    make_balance,
    sum_uses,
    use_of,
)
from diptych.components.pair_gen.hashing import class_keys
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
from diptych.components.pair_gen.read_examples import read_rows
from diptych.components.pair_gen.rows import joined
from diptych.components.pair_gen.shard import make_tables, placed_schema
from diptych.components.pair_gen.similarity_ordering import Centroids
from diptych.components.pair_gen.spool import (
    Piece,
    load,
    load_all,
    spill,
    spill_by_key,
    spool_of,
)
from diptych.components.pair_gen.write_shards import write_manifest, write_shard
from diptych.schemas.centroids import read_centroids
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.input_spec import Inputs

_BUFFER_BYTES = 64 * 2**20  # rows gathered before they are dealt to partitions


@dataclasses.dataclass(eq=False)
class ReadRows(beam.PTransform):
    """Reads transformed examples.

    Input:  paths of TFRecord files of tf.Examples, gzipped if they end in ``.gz``.
    Output: pieces of rows, see ``rows``.
    Errors: DataError where a feature lacks or has the wrong size, see ``read_rows``.
    """

    inputs: Inputs
    seed: int
    spool: str

    def expand(self, paths):
        return (
            paths
            | "SpreadFiles" >> beam.Reshuffle()
            | "Decode" >> beam.FlatMap(self._read).with_output_types(Piece)
        )

    def _read(self, path: str) -> list[Piece]:
        return spill(read_rows(path, self.inputs, self.seed), self.spool)


@dataclasses.dataclass(eq=False)
class CountClasses(beam.PTransform):
    """Counts the rows of each class.

    Input:  pieces of rows, in any order.
    Output: one (keys, counts), sorted by key.
    Memory: one entry a class and worker, whatever the number of rows.
    """

    def expand(self, rows):
        return (
            rows
            | "CountInBatch" >> beam.Map(lambda piece: count_keys(load(piece)))
            | "SumCounts" >> beam.CombineGlobally(Sum(sum_counts, _entries))
        )


def _entries(counts: Counts) -> int:
    return counts[0].size


@dataclasses.dataclass(eq=False)
class DealRows(beam.PTransform):
    """Deals rows to partitions that a worker can sort.

    Input:  pieces of rows.
    Output: (partition, piece); all rows of a class, or of a range of a large one, are in one
            partition.
    Memory: 64 MB of rows, twice.
    """

    spool: str
    plan: Any  # side input

    def expand(self, rows):
        dealt = beam.ParDo(_Deal(self.spool), self.plan)
        return rows | "Deal" >> dealt.with_output_types(tuple[int, Piece])


class _Deal(beam.DoFn):
    """Gathers rows first: dealt batch by batch, a thousand partitions would get single rows."""

    def __init__(self, spool: str):
        self._spool = spool

    def start_bundle(self) -> None:
        self._rows: list[pa.RecordBatch] = []
        self._bytes = 0
        self._plan: Plan | None = None

    def process(self, piece: Piece, plan: Plan) -> Iterable[tuple[int, Piece]]:
        self._plan = plan
        self._rows.append(load(piece))
        self._bytes += self._rows[-1].nbytes
        return self._deal() if self._bytes >= _BUFFER_BYTES else []

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        for element in self._deal():
            yield WindowedValue(element, window.max_timestamp(), [window])

    def _deal(self) -> list[tuple[int, Piece]]:
        if not self._rows or self._plan is None:
            return []
        rows = joined(self._rows, self._rows[0].schema)
        self._rows, self._bytes = [], 0
        return spill_by_key(deal(rows, self._plan), self._spool)


@dataclasses.dataclass(eq=False)
class PlaceRows(beam.PTransform):
    """Ranks the rows of each class by hash, and finds their places.

    Input:  (partition, piece).
    Output: (shard, piece); each row once a shard and block, with all its places there.
    Memory: a partition: 64 MB of rows, and what belongs to a block of them.
    """

    inputs: Inputs
    spool: str
    plan: Any  # side input

    def expand(self, dealt):
        sizes = beam.pvalue.AsSingleton(
            dealt
            | "PartitionSizes" >> beam.Map(_partition_size)
            | "SumSizes" >> beam.CombineGlobally(Sum(sum_counts, _entries))
        )
        placed = beam.FlatMap(self._place, self.plan, sizes)
        return (
            dealt
            | "GroupByPartition" >> beam.GroupByKey()
            | "Place" >> placed.with_output_types(tuple[int, Piece])
        )

    def _place(
        self, dealt: tuple[int, Iterable[Piece]], plan: Plan, sizes: Counts
    ) -> list[tuple[int, Piece]]:
        partition, pieces = dealt
        placed = place_partition((partition, load_all(pieces)), plan, sizes, self.inputs)
        return spill_by_key(placed, self.spool)


def _partition_size(dealt: tuple[int, Piece]) -> Counts:
    partition, (_, _, rows) = dealt
    return np.array([partition], np.uint64), np.array([rows], np.int64)


@dataclasses.dataclass(eq=False)
class WriteShards(beam.PTransform):
    """Draws the pairs of each shard and writes its three files.

    Input:  (shard, piece) with places.
    Output: ``use``, what each shard holds, shards without rows included; and ``covered``, the
            examples that are in a pair, by range.
    Memory: a shard three times; there are as many as keep each below ``plan.SHARD_BYTES``.
    """

    folder: str
    settings: Pairs
    inputs: Inputs
    plans: Any  # one plan

    def expand(self, placed):
        markers = self.plans | "AllShards" >> beam.FlatMap(_all_shards).with_output_types(
            tuple[int, Piece]
        )
        plan = beam.pvalue.AsSingleton(self.plans)
        return (
            (placed, markers)
            | "WithEmpty" >> beam.Flatten()
            | "GroupByShard" >> beam.GroupByKey()
            | "Write" >> beam.FlatMap(self._write, plan).with_outputs("covered", main="use")
        )

    def _write(self, placed: tuple[int, Iterable[Piece]], plan: Plan) -> Iterator[Any]:
        shard, pieces = placed
        batches = load_all(piece for piece in pieces if piece[2])
        rows = joined(batches, placed_schema(self.inputs))
        tables = make_tables(rows, plan, self.settings, self.inputs)
        yield use_of(tables, write_shard(tables, shard, plan.num_shards, Path(self.folder)))
        for covered in by_range(tables.covered):
            yield beam.pvalue.TaggedOutput("covered", covered)


def _all_shards(plan: Plan) -> list[tuple[int, Piece]]:
    """A piece without rows for each shard, so that none is left out."""
    return [(shard, ("", 0, 0)) for shard in range(plan.num_shards)]


@dataclasses.dataclass(eq=False)
class CountExamples(beam.PTransform):
    """Counts the distinct examples by their ids, of data that came in pairs.

    Input:  pieces of rows.
    Output: one number.
    Memory: a 256th of the ids.
    """

    def expand(self, rows):
        return (
            rows
            | "IdsByFirstByte" >> beam.FlatMap(lambda piece: example_ids(load(piece)))
            | "GroupIds" >> beam.GroupByKey()
            | "Distinct" >> beam.Map(count_distinct)
            | "SumDistinct" >> beam.CombineGlobally(sum)
        )


@dataclasses.dataclass(eq=False)
class MakePairs(beam.PTransform):
    """All of PairGen, for one split.

    Input:  paths of transformed examples, see ``ReadRows``.
    Output: the folder of the split, when all is written: the shards, the report of the balance in
            a folder of its own, and last the manifest. All workers must reach these, and the
            folder beside, see ``spool_of``.
    Errors: DataError where no same or no different pairs could be drawn.
    """

    split: str
    folder: str
    settings: Pairs
    inputs: Inputs
    balance: str
    centroids: str | None = None  # a folder: classes that lie close share batches

    def expand(self, paths):
        spool = spool_of(self.folder)
        rows = paths | ReadRows(self.inputs, self.settings.seed, spool)
        counts = rows | CountClasses()
        plans = counts | "Plan" >> beam.Map(self._plan).with_output_types(Plan)
        plan = beam.pvalue.AsSingleton(plans)
        if self.inputs.paired:
            num_examples = rows | CountExamples()
        else:
            num_examples = counts | "NumExamples" >> beam.Map(lambda counts: int(counts[1].sum()))
        written = (
            rows
            | DealRows(spool, plan)
            | PlaceRows(self.inputs, spool, plan)
            | WriteShards(self.folder, self.settings, self.inputs, plans)
        )
        num_covered = (
            written.covered
            | "GroupCovered" >> beam.GroupByKey()
            | "CountCovered" >> beam.Map(count_covered)
        )
        numbers = beam.pvalue.AsSingleton(num_examples), beam.pvalue.AsIter(num_covered)
        return (
            written.use
            | "SumUse" >> beam.CombineGlobally(Sum(sum_uses, lambda use: use.pairs[0].size))
            | "Finish" >> beam.Map(self._finish, plan, *numbers)
        )

    def _plan(self, counts: Counts) -> Plan:
        centroids = None
        if self.centroids is not None:
            labels, points = read_centroids(Path(self.centroids))
            centroids = Centroids(class_keys(labels), points)
        return make_plan(self.split, *counts, self.settings, self.inputs, centroids)

    def _finish(self, use: Use, plan: Plan, num_examples: int, num_covered: Iterable[int]) -> str:
        balance = make_balance(plan, use, num_examples, sum(num_covered))
        check_pairs(balance, self.settings)
        balance.write(Path(self.balance))
        write_manifest(use.stats, plan, num_examples, self.inputs, Path(self.folder))
        return self.folder
