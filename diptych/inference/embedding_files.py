"""Embeddings of a pushed model as Parquet, each beside its source and its label."""

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
from diptych.schemas.files import whole_file
from diptych.schemas.manifest import digest_of

REJECTED = pa.schema([("source", pa.string()), ("reason", pa.string())])
_GROUP_BYTES = 32 << 20  # of embeddings; a row group is kept in memory


@dataclasses.dataclass
class Written:
    """What became of the examples."""

    num_embedded: int = 0
    reasons: Counter[str] = dataclasses.field(default_factory=Counter)  # of those rejected

    @property
    def num_rejected(self) -> int:
        """Examples that the model was not given."""
        return self.reasons.total()


def write_embeddings(
    model: PushedModel,
    batches: Iterable[RawBatch],
    out: Path,
    rejected: Path,
    tell: Callable[[int], object] = lambda done: None,
) -> Written:
    """Writes the embeddings of all examples, in their order.

    Both files are there whole or not at all, and not at all where they would have no row.
    Memory: a batch, and a row group of 32 MB.

    Args:
      model: the pushed one.
      batches: of raw examples.
      out: Parquet to write: ``source``, ``id`` and ``label`` where the data have them, and
        ``embedding``; the schema's metadata names the model.
      rejected: Parquet to write, of the examples that the model must not be given: ``source``
        and ``reason``.
      tell: called with the number of examples after each batch.
    """
    written, origin = Written(), _origin(model)
    with contextlib.ExitStack() as stack:
        embedded, set_aside = _Parquet(out, stack), _Parquet(rejected, stack)
        for batch in batches:
            if batch.sources:
                embedded.write(_embedded(model, batch, origin))
                written.num_embedded += len(batch.sources)
            if batch.rejected:
                sources, reasons = zip(*batch.rejected, strict=True)
                set_aside.write(pa.table([sources, reasons], schema=REJECTED))
                written.reasons.update(reasons)
            tell(len(batch.sources) + len(batch.rejected))
        for file in (embedded, set_aside):
            file.flush()
    return written


def _embedded(model: PushedModel, batch: RawBatch, origin: dict[str, str]) -> pa.Table:
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
    return pa.table(columns, schema=pa.schema(fields, metadata=origin))


def _origin(model: PushedModel) -> dict[str, str]:
    """Embeddings are comparable with those of the very same model alone."""
    return {
        "diptych.model": model.manifest.name,
        "diptych.version": str(model.version),
        "diptych.manifest_sha256": digest_of(model.folder),
        "diptych.distance": model.manifest.distance,
        "diptych.threshold": repr(model.threshold),
    }


class _Parquet:
    """A file that is begun with its first rows, and named when the stack is left without error."""

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        self._path, self._stack = path, stack
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        if sum(part.nbytes for part in self._waiting) >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        self._waiting = []
        if self._writer is None:
            beside = self._stack.enter_context(whole_file(self._path))
            repeated = [name for name in ("label", "reason") if name in table.schema.names]
            self._writer = self._stack.enter_context(
                pq.ParquetWriter(beside, table.schema, use_dictionary=repeated)
            )
        self._writer.write_table(table)
