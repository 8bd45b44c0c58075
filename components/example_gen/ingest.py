"""Read the data and write the shards, in Beam.

Work items are JSON: lists of image files, a table file, or Parquet row groups of one. They become
rows of one shard: (shard number, (span name, Arrow IPC bytes)). The shard number depends on the id
alone, because the split of an example may depend on all others: compact records of all examples go
to one step that plans the splits, and the plan is a side input of the writer, which writes one
file of each split. All of these types have built-in coders.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.common.table_rows import (
    TextSettings,
    is_parquet,
    read_schema,
    row_group_sizes,
)
from diptych.components.example_gen.corrections import correct_batch
from diptych.components.example_gen.encoding import encode_examples
from diptych.components.example_gen.example_batch import ExampleBatch
from diptych.components.example_gen.fingerprints import (
    Fingerprints,
    fingerprint_vectors,
    grid_steps,
)
from diptych.components.example_gen.given_splits import uses_group
from diptych.components.example_gen.image_cells import holds_image_bytes
from diptych.components.example_gen.image_tables import (
    plan_row_ranges,
    read_image_list,
    read_image_pairs,
)
from diptych.components.example_gen.images import read_images
from diptych.components.example_gen.ingest_checks import (
    count_batch,
    count_rejected,
    skip_unusable_spans,
)
from diptych.components.example_gen.label_forms import (
    LabelForms,
    find_similar_labels,
    labels_of_paths,
    merge_label_forms,
)
from diptych.components.example_gen.pair_tables import read_pair_table
from diptych.components.example_gen.path_levels import list_ignored_levels
from diptych.components.example_gen.records import BatchRecords, row_keys
from diptych.components.example_gen.report_data import plan_and_report
from diptych.components.example_gen.span_files import SpanFiles
from diptych.components.example_gen.split_plan import SplitChanges
from diptych.components.example_gen.split_scan import list_mixed_splits
from diptych.components.example_gen.splits import hash_keys, initial_splits
from diptych.components.example_gen.tables import read_vector_table
from diptych.components.example_gen.tfrecords import read_tfrecords
from diptych.components.example_gen.unused_columns import (
    has_columns,
    list_suspicious_headers,
    list_unused_columns,
)
from diptych.schemas.config.data import DataConfig, ImageFolder, LevelRole, PairTable, Table
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.data_report import REPORT_FILE
from diptych.schemas.errors import DataError
from diptych.schemas.files import PARTIAL_SUFFIX, atomic_write
from diptych.schemas.input_spec import ID, SOURCE, InputSpec
from diptych.schemas.rejected_rows import (
    REJECTED_ROWS,
    SUMMARY_FILE,
    IngestCounts,
    IngestSummary,
    count_reasons,
    rejected_rows_file,
    to_rejected_table,
)
from diptych.schemas.shards import SPLITS

_SHARD_BYTES = 64 << 20  # of input; a shard is sorted in memory
_MAX_SHARDS = 1024
_MAX_WORK_BYTES, _MAX_WORK_FILES = 16 << 20, 256  # of images in one work item
_SHARD_SALT = 0x5EED  # any constant: the shard must not correlate with the hash of the split
_Plan = tuple[str, bytes, bytes]  # IngestSummary as JSON, SplitChanges, rejected conflicts


@dataclasses.dataclass(eq=False)
class Ingest(beam.PTransform):
    """Write the examples of each split, the rejected rows, the summary and the data report.

    Input:  the pipeline.
    Output: a PCollection of the paths written: ``<examples>/Split-<name>/data_tfrecord-*.gz``,
      ``<rejected>/rejected-*.parquet``, ``<rejected>/_summary.json`` (an ``IngestSummary``) and
      ``<data_report>/data_report.json``, next to which is ``leaked.parquet``. Skipped spans appear
      in the summary only. The content does not depend on the runner: rows are sorted by id, and
      the number of shards depends on the data alone.
    Memory: one shard per worker, about 64 MB of input. One step holds the records of all examples:
      about 300 bytes per vector and 900 per image.
    Errors: a file that cannot be read is recorded as a failure in the summary, and so is the reason
      why the examples cannot be divided into splits.
    """

    spans: Sequence[SpanFiles]  # newest last
    data: DataConfig
    split: SplitConfig
    input_spec: InputSpec
    given_splits: Collection[str]  # that occur in the data; empty unless split as given
    examples_dir: str
    rejected_dir: str
    report_dir: str

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pipeline: beam.Pipeline) -> Any:
        """See the class."""
        num_bytes = sum(span.num_bytes for span in self.spans)
        num_shards = max(1, min(_MAX_SHARDS, -(-num_bytes // _SHARD_BYTES)))
        work_items: list[str] = []
        # One element per shard, so that empty shards are written as well.
        shard_rows = [(shard, ("", b"")) for shard in range(2 * num_shards)]
        initial_counts: list[tuple[str, str]] = []
        for span in self.spans:
            rejected = _with_span_name(span, span.rejected)
            failures = [span.error] if span.error else []
            try:
                work_items += list(plan_work_items(span, self.data))
            except DataError as error:
                failures.append(str(error))
            if rejected:
                rows = _to_ipc_bytes(to_rejected_table(rejected))
                shard_rows.append((num_shards, (span.name, rows)))
            ignored = [*_with_span_name(span, span.ignored), *self._list_ignored_levels(span)]
            findings = list(_with_span_name(span, span.findings))
            if span is self.spans[-1]:
                ignored += self._list_unused_columns(span)
                findings += self._list_oddities(span)
            counts = count_rejected(rejected).model_copy(
                update={
                    "ignored": count_reasons(ignored),
                    "findings": count_reasons(findings),
                    "failures": failures,
                }
            )
            initial_counts.append((span.name, counts.model_dump_json()))
        read = (
            pipeline
            | "WorkItems" >> beam.Create(work_items)
            | "SpreadWorkItems" >> beam.Reshuffle()
            | "Read"
            >> beam.ParDo(
                _ReadWorkItem(
                    self.data,
                    self.split,
                    self.input_spec,
                    self.given_splits,
                    num_shards,
                    sample_grid_steps(self.spans, self.data, self.input_spec, self.split),
                )
            ).with_outputs("counts", "records", "label_forms", main="rows")
        )
        label_forms = read.label_forms | "MergeLabelForms" >> beam.CombineGlobally(
            merge_label_forms
        )
        summary = (
            (read.counts, pipeline | "InitialCounts" >> beam.Create(initial_counts))
            | "Counts" >> beam.Flatten()
            | "SumPerSpan" >> beam.CombinePerKey(_add_counts)
            | "Spans" >> beam.combiners.ToList()
            | "Summarize"
            >> beam.Map(
                _summarize,
                [span.name for span in self.spans],
                self.data.max_rejected,
                beam.pvalue.AsSingleton(label_forms),
            )
        )
        plan = (
            read.records
            | "AllRecords" >> beam.combiners.ToList()
            | "PlanSplits"
            >> beam.Map(
                _plan_splits,
                beam.pvalue.AsSingleton(summary),
                self.data,
                self.split,
                self.report_dir,
            )
        )
        shards = (
            (
                read.rows,
                pipeline | "Shards" >> beam.Create(shard_rows),
            )
            | beam.Flatten()
            | "ByShard" >> beam.GroupByKey()
            | "Write"
            >> beam.ParDo(
                _WriteShard(num_shards, self.examples_dir, self.rejected_dir),
                beam.pvalue.AsSingleton(plan),
            )
        )
        reports = plan | "WriteReports" >> beam.FlatMap(
            _write_reports, self.rejected_dir, self.report_dir
        )
        return (shards, reports) | "Paths" >> beam.Flatten()

    def _list_unused_columns(self, span: SpanFiles) -> list[tuple[str, str]]:
        # A file that cannot be read is recorded when its rows are read.
        with contextlib.suppress(DataError):
            if has_columns(self.data):
                return list_unused_columns(span, self.data, self.input_spec)
        return []

    def _list_oddities(self, span: SpanFiles) -> list[tuple[str, str]]:
        """List what about the files and folders is probably not meant."""
        if isinstance(self.data, ImageFolder) and self.data.table is None:
            return list(find_similar_labels(labels_of_paths(span, self.data)))
        oddities = list_mixed_splits(span, self.split)
        with contextlib.suppress(DataError):
            if has_columns(self.data):
                oddities += list_suspicious_headers(span, self.data)
        return oddities

    def _list_ignored_levels(self, span: SpanFiles) -> Iterator[tuple[str, str]]:
        if isinstance(self.data, ImageFolder) and self.data.levels is not None:
            names = (file.name for file in span.files)
            used: list[LevelRole] = ["group"] if uses_group(self.split) else []
            used += ["split"] if self.split.by == "given" else []
            yield from list_ignored_levels(names, self.data.levels, used)


def plan_work_items(span: SpanFiles, data: DataConfig) -> Iterator[str]:
    """Divide the files of a span into work items of similar size, as JSON.

    Each names the span, the folder, the files in it and, for Parquet, the row groups.

    Raises:
      DataError: If a Parquet file is damaged.
    """

    def to_item(**fields: Any) -> str:
        return json.dumps({"span": span.name, "root": str(span.root), **fields})

    if span.image_columns:
        settings = TextSettings.from_config(data)
        for file in span.files:
            path = span.root / file.name
            if not file.size:
                continue
            if is_parquet(path) and holds_image_bytes(
                read_schema(path, settings).field(span.image_columns[0]).type
            ):
                for groups in _plan_row_groups(path):
                    yield to_item(names=[file.name], row_groups=groups)
            else:
                for row_range in plan_row_ranges(path, span.image_columns, settings):
                    yield to_item(names=[file.name], row_range=row_range)
        return
    if isinstance(data, ImageFolder):
        names: list[str] = []
        size = 0
        for file in span.files:
            added = file.example_size
            if names and (len(names) == _MAX_WORK_FILES or size + added > _MAX_WORK_BYTES):
                yield to_item(names=names)
                names, size = [], 0
            names.append(file.name)
            size += added
        if names:
            yield to_item(names=names)
        return
    for file in span.files:
        if not is_parquet(span.root / file.name) or not isinstance(data, Table | PairTable):
            yield to_item(names=[file.name])
            continue
        for groups in _plan_row_groups(span.root / file.name):
            yield to_item(names=[file.name], row_groups=groups)


def _plan_row_groups(path: Path) -> Iterator[list[int]]:
    """Divide the row groups of a Parquet file into lists of a limited size."""
    groups: list[int] = []
    size = 0
    for group, (_, num_bytes) in enumerate(row_group_sizes(path)):
        if groups and size + num_bytes > _SHARD_BYTES:
            yield groups
            groups, size = [], 0
        groups.append(group)
        size += num_bytes
    if groups:
        yield groups


def read_batches(
    item: dict[str, Any], data: DataConfig, input_spec: InputSpec, split: SplitConfig
) -> Iterable[ExampleBatch]:
    """Read the batches of a work item.

    Raises:
      DataError: If a file is damaged or does not fit the configuration.
    """
    root, names, groups = Path(item["root"]), item["names"], item.get("row_groups")
    row_range = item.get("row_range")
    if isinstance(data, ImageFolder) and data.table is not None:
        return read_image_list(root, names[0], groups, row_range, data, split)
    if isinstance(data, PairTable) and input_spec.kind == "image":
        return read_image_pairs(root, names[0], groups, row_range, data, split)
    if isinstance(data, ImageFolder):
        return [read_images(root, names, data, split)]
    if isinstance(data, Table):
        return read_vector_table(root, names[0], groups, data, input_spec, split)
    if isinstance(data, PairTable):
        return read_pair_table(root, names[0], groups, data, input_spec, split)
    return read_tfrecords(root, names[0], data, input_spec, split)


def fingerprint_batch(
    batch: ExampleBatch, input_spec: InputSpec, steps: np.ndarray | None
) -> Sequence[Fingerprints]:
    """Return the fingerprints of the examples, or of both sides of given pairs."""
    if batch.sides is not None:
        return batch.sides
    return [fingerprint_vectors(vectors, steps) for vectors in _side_vectors(batch, input_spec)]


def _side_vectors(batch: ExampleBatch, input_spec: InputSpec) -> list[np.ndarray]:
    sides = [input_spec.columns, input_spec.right_columns]
    num_rows = batch.features.num_rows
    return [
        np.concatenate(
            [
                batch.features.column(column.name).flatten().to_numpy().reshape(num_rows, -1)
                for column in columns
            ],
            axis=1,
        )
        for columns in sides
        if columns
    ]


def sample_grid_steps(
    spans: Sequence[SpanFiles], data: DataConfig, input_spec: InputSpec, split: SplitConfig
) -> np.ndarray | None:
    """Choose the grid on which vectors are equal after rounding, from the first rows of a span.

    The newest span decides. None for images, and if there are no rows.
    """
    if input_spec.kind == "image":
        return None
    with contextlib.suppress(DataError):  # found again, and reported, when the data are read
        for span in reversed(spans):
            for item in plan_work_items(span, data):
                for batch in read_batches(json.loads(item), data, input_spec, split):
                    if batch.features.num_rows:
                        return grid_steps(np.concatenate(_side_vectors(batch, input_spec)))
    return None


@beam.typehints.with_output_types(tuple[int, tuple[str, bytes]])
@dataclasses.dataclass(eq=False)
class _ReadWorkItem(beam.DoFn):
    data: DataConfig
    split: SplitConfig
    input_spec: InputSpec
    given_splits: Collection[str]
    num_shards: int
    grid_steps: np.ndarray | None

    def __post_init__(self) -> None:
        super().__init__()

    def start_bundle(self) -> None:
        """Forget which labels have been passed on; their merge removes duplicates."""
        self._known_forms: set[tuple[str, str]] = set()

    def process(self, element: str) -> Iterator[Any]:
        item = json.loads(element)
        span = item["span"]
        try:
            for number, file_batch in enumerate(
                read_batches(item, self.data, self.input_spec, self.split)
            ):
                batch = file_batch.with_span(span) if span else file_batch
                corrected = correct_batch(batch, self.data, self.split)
                counts = count_batch(batch, corrected)
                batch = corrected.batch
                beam.metrics.Metrics.counter("example_gen", "read").inc(counts.num_read)
                beam.metrics.Metrics.counter("example_gen", "rejected").inc(counts.num_rejected)
                yield beam.pvalue.TaggedOutput("counts", (span, counts.model_dump_json()))
                new_forms = sorted(set(file_batch.label_forms) - self._known_forms)
                if new_forms:
                    self._known_forms.update(new_forms)
                    forms: LabelForms = {}
                    for text, label in new_forms:
                        forms.setdefault(label, set()).add(text)
                    yield beam.pvalue.TaggedOutput("label_forms", forms)
                keys = row_keys(f"{number} {element}", batch.features.num_rows)
                splits = initial_splits(batch, self.split, self.given_splits)
                sides = fingerprint_batch(batch, self.input_spec, self.grid_steps)
                records = BatchRecords.of_batch(span, keys, splits, corrected, sides)
                yield beam.pvalue.TaggedOutput("records", records.to_element())
                for shard, rows in self._shard_examples(batch, keys, splits):
                    yield shard, (span, rows)
                if batch.rejected:
                    rows = _to_ipc_bytes(to_rejected_table(batch.rejected))
                    yield self._rejected_shard(batch), (span, rows)
        except DataError as error:
            # If raised here, the error would be wrapped in a Beam error with a stack trace.
            failed = IngestCounts(failures=[str(error)])
            yield beam.pvalue.TaggedOutput("counts", (span, failed.model_dump_json()))

    def _shard_examples(
        self, batch: ExampleBatch, keys: np.ndarray, splits: np.ndarray
    ) -> Iterator[tuple[int, bytes]]:
        if not batch.features.num_rows:
            return
        ids = batch.features.column(ID).flatten()
        rows = pa.record_batch(
            {
                "id": ids,
                "source": batch.features.column(SOURCE).flatten(),
                "example": pa.array(encode_examples(batch.features), pa.large_binary()),
                "key": keys,
                "split": splits,
            }
        )
        shards = hash_keys(ids.to_pylist(), _SHARD_SALT) % np.uint64(self.num_shards)
        for shard in np.unique(shards):
            yield int(shard), _to_ipc_bytes(rows.filter(pa.array(shards == shard)))

    def _rejected_shard(self, batch: ExampleBatch) -> int:
        first_source = os.fsencode(batch.rejected[0][0])
        number = hash_keys([first_source], 0)[0] % np.uint64(self.num_shards)
        return self.num_shards + int(number)


@dataclasses.dataclass(eq=False)
class _WriteShard(beam.DoFn):
    """Write the files of one shard number: one per split, or the rejected rows.

    Numbers below ``num_shards`` are examples, the others rejected rows.
    """

    num_shards: int
    examples_dir: str
    rejected_dir: str

    def __post_init__(self) -> None:
        super().__init__()

    def process(
        self, element: tuple[int, Iterable[tuple[str, bytes]]], plan: _Plan
    ) -> Iterator[str]:
        shard, span_rows = element
        summary, changes, conflicts = plan
        skipped = IngestSummary.model_validate_json(summary).skipped_spans
        tables = [
            pa.ipc.open_stream(rows).read_all()
            for span, rows in span_rows
            if rows and span not in skipped
        ]
        if shard < self.num_shards:
            yield from self._write_examples(shard, tables, SplitChanges.from_bytes(changes))
            return
        number = shard - self.num_shards
        if number == 0:
            tables.append(pa.ipc.open_stream(conflicts).read_all())
        path = rejected_rows_file(Path(self.rejected_dir), number, self.num_shards)
        table = pa.concat_tables([REJECTED_ROWS.empty_table(), *tables])
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as tmp_path:
            pq.write_table(table.sort_by("source"), tmp_path)
        yield str(path)

    def _write_examples(
        self, shard: int, tables: list[pa.Table], changes: SplitChanges
    ) -> Iterator[str]:
        # By the example as well: one source may hold the same content twice.
        order = [("id", "ascending"), ("source", "ascending"), ("example", "ascending")]
        rows = pa.concat_tables(tables).sort_by(order) if tables else None
        if rows is not None:
            splits = changes.apply(rows["key"].to_numpy(), rows["split"].to_numpy())
        for split, name in enumerate(SPLITS):
            folder = Path(self.examples_dir, f"Split-{name}")
            path = folder / f"data_tfrecord-{shard:05d}-of-{self.num_shards:05d}.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as tmp_path:
                examples = [] if rows is None else [rows["example"].filter(splits == split)]
                _write_tfrecords(examples, tmp_path)
            yield str(path)


def _plan_splits(
    records: list[tuple[str, bytes, bytes]],
    summary: str,
    data: DataConfig,
    split: SplitConfig,
    report_dir: str,
) -> _Plan:
    outputs, changes = plan_and_report(
        [BatchRecords.from_element(each) for each in records],
        IngestSummary.model_validate_json(summary),
        data,
        split,
    )
    folder = Path(report_dir)
    folder.mkdir(parents=True, exist_ok=True)
    outputs.report.write(folder, outputs.leaked_ids)
    rejected = _to_ipc_bytes(to_rejected_table(outputs.rejected))
    return outputs.summary.model_dump_json(), changes.to_bytes(), rejected


def _with_span_name(span: SpanFiles, files: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Put the name of the span in front of file names, as in the sources of examples."""
    prefix = f"{span.name}/" if span.name else ""
    return [(prefix + name, text) for name, text in files]


def _to_ipc_bytes(rows: pa.RecordBatch | pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write(rows)
    return bytes(sink.getvalue())


def _write_tfrecords(examples: Iterable[pa.ChunkedArray], path: Path) -> None:
    import tensorflow as tf

    # Level 1: the default, 6, takes several times as long as the rest of the step.
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for column in examples:
            for first in range(0, len(column), 4096):
                for example in column.slice(first, 4096).to_pylist():
                    writer.write(example)


def remove_partial_files(folder: str) -> None:
    """Remove temporary files of workers that were killed. Call it after the Beam pipeline."""
    # TFX reads every file in the folder of a split as data.
    for path in Path(folder).rglob(f"*{PARTIAL_SUFFIX}"):
        path.unlink()


def _add_counts(counts: Iterable[str]) -> str:
    return IngestCounts.total(map(IngestCounts.model_validate_json, counts)).model_dump_json()


def _summarize(
    counts: Iterable[tuple[str, str]],
    span_names: Sequence[str],
    max_rejected: float,
    label_forms: LabelForms | None,
) -> str:
    by_span = dict(counts)
    spans = {name: IngestCounts.model_validate_json(by_span[name]) for name in span_names}
    findings = IngestCounts(findings=count_reasons(find_similar_labels(label_forms or {})))
    newest = span_names[-1]
    spans[newest] = IngestCounts.total([spans[newest], findings])
    return skip_unusable_spans(spans, max_rejected).model_dump_json()


def _write_reports(plan: _Plan, rejected_dir: str, report_dir: str) -> list[str]:
    summary, _, _ = plan
    path = Path(rejected_dir, SUMMARY_FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as tmp_path:
        tmp_path.write_text(summary, encoding="utf-8")
    return [str(path), str(Path(report_dir, REPORT_FILE))]
