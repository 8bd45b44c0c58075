"""Record batches on disk between the steps, so that Beam only transports references to them.

A runner copies each element about five times and buffers all input of a step, the in-process runner
in memory. Files are written and read once, in large pieces, and are memory-mapped. They are in a
folder next to the shards that every worker can access, and are removed at the end of the pipeline.
A retried bundle writes another file; a file that no element refers to is never read.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from diptych.schemas.cleanup import cleanup

BatchRef = tuple[str, int, int]  # file, number of the record batch in it, rows


def spool_folder(folder: str) -> str:
    """Return the folder for the record batches of a split; the caller of the pipeline removes it.

    No step of the pipeline may remove it: a runner that has lost a worker runs earlier steps again.
    """
    return folder + ".spool"


def spill_batches(batches: Iterable[pa.RecordBatch], folder: str) -> list[BatchRef]:
    """Write record batches of one schema to a file.

    Args:
      batches: Written one by one, so that they are not in memory together.
      folder: Created if it does not exist.

    Returns:
      References to the batches, once all are written.
    """
    path = Path(folder) / f"{os.getpid()}-{os.urandom(8).hex()}.arrow"
    refs: list[BatchRef] = []
    writer: pa.ipc.RecordBatchFileWriter | None = None
    with cleanup(lambda: writer and writer.close()):
        for number, batch in enumerate(batches):
            if writer is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                writer = pa.ipc.new_file(str(path), batch.schema)
            writer.write_batch(batch)
            refs.append((str(path), number, batch.num_rows))
    return refs


def spill_keyed_batches(
    keyed: Iterable[tuple[int, pa.RecordBatch]], folder: str
) -> list[tuple[int, BatchRef]]:
    """Write record batches with keys to a file; returns their keys and references."""
    keys: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for key, batch in keyed:
            keys.append(key)
            yield batch

    refs = spill_batches(batches(), folder)
    return list(zip(keys, refs, strict=True))


def load_batch(ref: BatchRef) -> pa.RecordBatch:
    """Memory-map a record batch; unused columns are not read."""
    path, number, _ = ref
    return pa.ipc.open_file(pa.memory_map(path)).get_batch(number)


def load_batches(refs: Iterable[BatchRef]) -> Iterator[pa.RecordBatch]:
    """Read several record batches, file by file, in any order.

    Memory-mapping would keep thousands of files open at the same time.
    """
    for path, group in itertools.groupby(sorted(refs), key=lambda ref: ref[0]):
        with pa.OSFile(path) as source:
            reader = pa.ipc.open_file(source)
            for _, number, _ in group:
                yield reader.get_batch(number)
