"""Reads the data and writes the shards, in Beam.

Elements are lists of image files, table files or groups of Parquet row groups, and come out as
rows of one shard: (number of the shard, (name of the span, Arrow IPC bytes)). Coders for all are
built in.
"""

import dataclasses
import io
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.common.table_rows import is_parquet, row_group_sizes
from diptych.components.example_gen.chunk import Chunk
from diptych.components.example_gen.encoding import encode_examples
from diptych.components.example_gen.files import Found
from diptych.components.example_gen.images import read_images
from diptych.components.example_gen.pair_tables import read_pairs
from diptych.components.example_gen.rejections import Reading, Summary, judge
from diptych.components.example_gen.splits import assign_splits, hash_keys
from diptych.components.example_gen.tables import read_table
from diptych.components.example_gen.tfrecords import read_tfrecords
from diptych.schemas.config.data import Data, ImageFolder, PairTable, Table
from diptych.schemas.config.split import Split
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import ID, SOURCE, Inputs
from diptych.schemas.shards import SPLITS

_SHARD_BYTES = 64 << 20  # of input; a shard is sorted in memory
_MAX_SHARDS = 1024
_WORK_BYTES, _WORK_FILES = 16 << 20, 256  # of images, read as one element
_REJECTED = len(SPLITS)  # the shards behind those of the splits
_HALF = ".part-"  # begins the name of a file that is not whole yet
_SHARD_SALT = 0x5EED  # any number: shards must not follow the order of the splits' hash


@dataclasses.dataclass(eq=False)
class Ingest(beam.PTransform):
    """Writes the examples of each split, the rejected rows and the summary.

    Input:  the pipeline.
    Output: a PCollection of the paths written: ``<examples>/Split-<name>/data_tfrecord-*.gz``,
      ``<rejected>/rejected-*.parquet`` and ``<rejected>/_summary.json`` (a ``Reading``). Nothing of
      spans that are left out is in the first two. Nothing that depends on the runner is in them:
      rows are sorted by id, and the number of shards depends on the data.
    Memory: one shard a worker, some 64 MB of input.
    Errors: a file that cannot be read is a failure in the summary.
    """

    parts: Sequence[Found]  # of the spans, the newest last
    data: Data
    split: Split
    inputs: Inputs
    examples: str
    rejected: str

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pipeline: beam.Pipeline) -> Any:
        """See the class."""
        num_bytes = sum(part.num_bytes for part in self.parts)
        num_shards = max(1, min(_MAX_SHARDS, -(-num_bytes // _SHARD_BYTES)))
        work: list[str] = []
        # An element for every shard, so that each is written, with rows or without.
        shards = [(shard, ("", b"")) for shard in range((len(SPLITS) + 1) * num_shards)]
        start: list[tuple[str, str]] = []
        for part in self.parts:
            rejected = _unopened(part)
            failures = [part.fault] if part.fault else []
            try:
                work += list(plan(part, self.data))
            except DataError as error:
                failures.append(str(error))
            if rejected:
                shards.append((_REJECTED * num_shards, (part.name, _rejected_rows(rejected))))
            summary = Summary.of_rejected(rejected).model_copy(update={"failures": failures})
            start.append((part.name, summary.model_dump_json()))
        read = (
            pipeline
            | "Files" >> beam.Create(work)
            | "SpreadFiles" >> beam.Reshuffle()
            | "Read"
            >> beam.ParDo(_Read(self.data, self.split, self.inputs, num_shards)).with_outputs(
                "summary", main="rows"
            )
        )
        reading = (
            (read.summary, pipeline | "Unopened" >> beam.Create(start))
            | "Summaries" >> beam.Flatten()
            | "SumOfSpan" >> beam.CombinePerKey(_add_summaries)
            | "Spans" >> beam.combiners.ToList()
            | "Judge"
            >> beam.Map(_judge, [part.name for part in self.parts], self.data.max_rejected)
        )
        written = (
            (
                read.rows,
                pipeline | "Shards" >> beam.Create(shards),
            )
            | beam.Flatten()
            | "ByShard" >> beam.GroupByKey()
            | "Write"
            >> beam.ParDo(
                _WriteShard(num_shards, self.examples, self.rejected),
                beam.pvalue.AsSingleton(reading),
            )
        )
        summary = reading | "WriteSummary" >> beam.Map(_write_summary, self.rejected)
        return (written, summary) | "Paths" >> beam.Flatten()


def summary_path(rejected: str) -> str:
    """Where the summary is, in the folder of the rejected rows."""
    return os.path.join(rejected, "_summary.json")


def plan(found: Found, data: Data) -> Iterator[str]:
    """Cuts the files of a span into elements of work, as JSON.

    Each has the span, the folder, the names in it and, for Parquet, the row groups.

    Raises:
      DataError: a Parquet file is damaged.
    """

    def element(**work: Any) -> str:
        return json.dumps({"span": found.name, "root": str(found.root), **work})

    if isinstance(data, ImageFolder):
        names: list[str] = []
        size = 0
        for file in found.files:
            if names and (len(names) == _WORK_FILES or size + file.size > _WORK_BYTES):
                yield element(names=names)
                names, size = [], 0
            names.append(file.name)
            size += file.size
        if names:
            yield element(names=names)
        return
    for file in found.files:
        if not is_parquet(found.root / file.name) or not isinstance(data, Table | PairTable):
            yield element(names=[file.name])
            continue
        groups: list[int] = []
        size = 0
        for group, (_, num_bytes) in enumerate(row_group_sizes(found.root / file.name)):
            if groups and size + num_bytes > _SHARD_BYTES:
                yield element(names=[file.name], row_groups=groups)
                groups, size = [], 0
            groups.append(group)
            size += num_bytes
        if groups:
            yield element(names=[file.name], row_groups=groups)


@beam.typehints.with_output_types(tuple[int, tuple[str, bytes]])
@dataclasses.dataclass(eq=False)
class _Read(beam.DoFn):
    data: Data
    split: Split
    inputs: Inputs
    num_shards: int

    def __post_init__(self) -> None:
        super().__init__()

    def process(self, element: str) -> Iterator[Any]:
        work = json.loads(element)
        span = work["span"]
        try:
            for in_span in self._chunks(work):
                chunk = in_span.of_span(span) if span else in_span
                splits = assign_splits(chunk.keys, self.split)
                counts = np.bincount(splits, minlength=len(SPLITS)).tolist()
                summary = Summary.of(chunk, counts)
                beam.metrics.Metrics.counter("example_gen", "read").inc(summary.num_read)
                beam.metrics.Metrics.counter("example_gen", "rejected").inc(summary.num_rejected)
                yield beam.pvalue.TaggedOutput("summary", (span, summary.model_dump_json()))
                for shard, rows in self._example_rows(chunk, splits):
                    yield shard, (span, rows)
                if chunk.rejected:
                    yield self._rejected_shard(chunk), (span, _rejected_rows(chunk.rejected))
        except DataError as error:
            # Raised here, it would reach the user inside Beam's own error, with its trace.
            failed = Summary(failures=[str(error)])
            yield beam.pvalue.TaggedOutput("summary", (span, failed.model_dump_json()))

    def _chunks(self, work: dict[str, Any]) -> Iterable[Chunk]:
        root, names, groups = Path(work["root"]), work["names"], work.get("row_groups")
        if isinstance(self.data, ImageFolder):
            return [read_images(root, names, self.data, self.split)]
        if isinstance(self.data, Table):
            return read_table(root, names[0], groups, self.data, self.inputs, self.split)
        if isinstance(self.data, PairTable):
            return read_pairs(root, names[0], groups, self.data, self.inputs, self.split)
        return read_tfrecords(root, names[0], self.data, self.inputs, self.split)

    def _example_rows(self, chunk: Chunk, splits: np.ndarray) -> Iterator[tuple[int, bytes]]:
        if not chunk.features.num_rows:
            return
        ids = chunk.features.column(ID).flatten()
        rows = pa.record_batch(
            {
                "id": ids,
                "source": chunk.features.column(SOURCE).flatten(),
                "example": pa.array(encode_examples(chunk.features), pa.large_binary()),
            }
        )
        within = hash_keys(ids.to_pylist(), _SHARD_SALT) % np.uint64(self.num_shards)
        shards = splits * self.num_shards + within.astype(np.int64)
        for shard in np.unique(shards):
            yield int(shard), _to_bytes(rows.filter(pa.array(shards == shard)))

    def _rejected_shard(self, chunk: Chunk) -> int:
        first = os.fsencode(chunk.rejected[0][0])
        return _REJECTED * self.num_shards + int(
            hash_keys([first], 0)[0] % np.uint64(self.num_shards)
        )


@dataclasses.dataclass(eq=False)
class _WriteShard(beam.DoFn):
    num_shards: int
    examples: str
    rejected: str

    def __post_init__(self) -> None:
        super().__init__()

    def process(
        self, element: tuple[int, Iterable[tuple[str, bytes]]], reading: str
    ) -> Iterator[str]:
        shard, parts = element
        kind, number = divmod(shard, self.num_shards)
        left_out = Reading.model_validate_json(reading).left_out
        tables = [
            pa.ipc.open_stream(rows).read_all()
            for span, rows in parts
            if rows and span not in left_out
        ]
        name = f"{number:05d}-of-{self.num_shards:05d}"
        if kind == _REJECTED:
            path = os.path.join(self.rejected, f"rejected-{name}.parquet")
            table = pa.concat_tables([_REJECTED_SCHEMA.empty_table(), *tables])
            _write_whole(
                self.rejected, path, lambda beside: _write_rejected(table.sort_by("source"), beside)
            )
        else:
            folder = os.path.join(self.examples, f"Split-{SPLITS[kind]}")
            path = os.path.join(folder, f"data_tfrecord-{name}.gz")
            _write_whole(self.examples, path, lambda beside: _write_examples(tables, beside))
        yield path


_REJECTED_SCHEMA = pa.schema([("source", pa.string()), ("reason", pa.string())])


def _unopened(part: Found) -> list[tuple[str, str]]:
    prefix = f"{part.name}/" if part.name else ""
    return [(prefix + source, reason) for source, reason in part.rejected]


def _rejected_rows(rejected: Iterable[tuple[str, str]]) -> bytes:
    sources, reasons = zip(*rejected, strict=True)
    return _to_bytes(
        pa.record_batch([pa.array(sources), pa.array(reasons)], schema=_REJECTED_SCHEMA)
    )


def _to_bytes(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _write_examples(tables: list[pa.Table], path: str) -> None:
    import tensorflow as tf

    # Level 1: the default, 6, takes several times as long as all the rest of the step.
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
    with tf.io.TFRecordWriter(path, options) as writer:
        if not tables:
            return
        table = pa.concat_tables(tables)
        # The example too: rows of the same content may come from the same source twice.
        ordered = table.sort_by(
            [("id", "ascending"), ("source", "ascending"), ("example", "ascending")]
        )
        for batch in ordered.to_batches(max_chunksize=4096):
            for example in batch.column("example").to_pylist():
                writer.write(example)


def _write_rejected(table: pa.Table, path: str) -> None:
    import tensorflow as tf

    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(buffer.getvalue())


def _write_whole(root: str, path: str, write: Callable[[str], None]) -> None:
    """Writes into ``root`` and renames to ``path``: a reader finds the whole file or none."""
    import tensorflow as tf

    tf.io.gfile.makedirs(os.path.dirname(path))
    # Not into the folder of a split: TFX takes every file in there for data.
    beside = os.path.join(root, f"{_HALF}{os.path.basename(path)}-{uuid.uuid4().hex}")
    try:
        write(beside)
        tf.io.gfile.rename(beside, path, overwrite=True)
    except BaseException:
        if tf.io.gfile.exists(beside):
            tf.io.gfile.remove(beside)
        raise


def remove_halves(root: str) -> None:
    """Removes what workers that were killed left of ``_write_whole``; call it after the run."""
    import tensorflow as tf

    for name in tf.io.gfile.listdir(root):
        if name.startswith(_HALF):
            tf.io.gfile.remove(os.path.join(root, name))


def _add_summaries(parts: Iterable[str]) -> str:
    return Summary.total(Summary.model_validate_json(part) for part in parts).model_dump_json()


def _judge(summaries: Iterable[tuple[str, str]], names: Sequence[str], max_rejected: float) -> str:
    found = dict(summaries)
    spans = {name: Summary.model_validate_json(found[name]) for name in names}
    return judge(spans, max_rejected).model_dump_json()


def _write_summary(summary: str, folder: str) -> str:
    path = summary_path(folder)

    def write(beside: str) -> None:
        import tensorflow as tf

        with tf.io.gfile.GFile(beside, "w") as file:
            file.write(summary)

    _write_whole(folder, path, write)
    return path
