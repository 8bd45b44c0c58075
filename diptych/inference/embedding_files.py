"""Parquet files of embeddings, each row with its source and label."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.inference.pushed_model import PushedModel
from diptych.inference.raw_batch import RawBatch
from diptych.schemas.files import atomic_write
from diptych.schemas.manifest import manifest_digest
from diptych.schemas.rejected_rows import to_rejected_table

_ROW_GROUP_BYTES = 32 << 20  # a row group is buffered in memory


@dataclasses.dataclass
class EmbedResult:
    """Number of embedded examples, and of rejected ones by reason."""

    num_embedded: int = 0
    rejection_reasons: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def num_rejected(self) -> int:
        """Number of examples that the model could not process."""
        return self.rejection_reasons.total()


def write_embeddings(
    model: PushedModel,
    batches: Iterable[RawBatch],
    out: Path,
    rejected: Path,
    on_batch: Callable[[int], object] = lambda num_examples: None,
) -> EmbedResult:
    """Write the embeddings of all examples in their order.

    Each file is written atomically, and only if it has rows.
    Memory: one batch and one row group of 32 MB.

    Args:
      model: The pushed model.
      batches: Raw examples.
      out: Parquet file to write, with the columns ``source``, ``id`` and ``label`` (if the data
        have them) and ``embedding``; the schema metadata identify the model.
      rejected: Parquet file to write, with ``source`` and ``reason`` of each rejected example.
      on_batch: Called with the number of examples after each batch.
    """
    result, metadata = EmbedResult(), _model_metadata(model)
    with contextlib.ExitStack() as stack:
        embedded_file = _BufferedParquetFile(out, stack)
        rejected_file = _BufferedParquetFile(rejected, stack)
        for batch in batches:
            if batch.sources:
                embedded_file.write(_to_embedding_table(model, batch, metadata))
                result.num_embedded += len(batch.sources)
            if batch.rejected:
                rejected_file.write(to_rejected_table(batch.rejected))
                result.rejection_reasons.update(reason for _, reason in batch.rejected)
            on_batch(len(batch.sources) + len(batch.rejected))
        for file in (embedded_file, rejected_file):
            file.flush()
    return result


def _to_embedding_table(model: PushedModel, batch: RawBatch, metadata: dict[str, str]) -> pa.Table:
    size = model.manifest.embedding_size
    fields = [pa.field("source", pa.string(), nullable=False)]
    columns = [pa.array(batch.sources, pa.string())]
    for name, texts in (("id", batch.ids), ("label", batch.labels)):
        if texts is not None:
            fields.append(pa.field(name, pa.string()))
            values = np.array(texts, object)
            columns.append(pa.array(values, pa.string(), mask=values == ""))
    fields.append(pa.field("embedding", pa.list_(pa.float32(), size), nullable=False))
    flat = pa.array(model.embed(batch.values).ravel(), pa.float32())
    columns.append(pa.FixedSizeListArray.from_arrays(flat, size))
    return pa.table(columns, schema=pa.schema(fields, metadata=metadata))


def _model_metadata(model: PushedModel) -> dict[str, str]:
    """Identify the model: only embeddings of the same model are comparable."""
    return {
        "diptych.model": model.manifest.name,
        "diptych.version": str(model.manifest.version),
        "diptych.manifest_sha256": manifest_digest(model.folder),
        "diptych.distance": model.manifest.distance,
        "diptych.threshold": repr(model.manifest.threshold),
    }


class _BufferedParquetFile:
    """A Parquet file created by its first rows and committed when the stack exits without error."""

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        self._path, self._stack = path, stack
        self._writer: pq.ParquetWriter | None = None
        self._buffer: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        self._buffer.append(table)
        if sum(buffered.nbytes for buffered in self._buffer) >= _ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if not self._buffer:
            return
        table = pa.concat_tables(self._buffer)
        self._buffer = []
        if self._writer is None:
            tmp_path = self._stack.enter_context(atomic_write(self._path))
            repetitive = [name for name in ("label", "reason") if name in table.schema.names]
            self._writer = self._stack.enter_context(
                pq.ParquetWriter(tmp_path, table.schema, use_dictionary=repetitive)
            )
        self._writer.write_table(table)
