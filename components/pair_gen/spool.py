"""Record batches on disk between the steps, so that Beam only carries where they are.

A runner copies each element some five times and keeps all of a step's input in its own way, the
in-process one in memory. Files are written and read once, in large pieces, and are mapped into
memory. They lie beside the shards, where every worker can reach them, and are removed with the
end of the pipeline. A worker that is run twice writes another file; what nobody was told of is
never read.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

Piece = tuple[str, int, int]  # file, number of the record batch in it, rows


def spool_of(folder: str) -> str:
    """Where the steps of a split hand record batches on; whoever runs the pipeline removes it.

    No step of the pipeline may: a runner that has lost a worker runs earlier steps again.
    """
    return folder + ".spool"


def spill(batches: Iterable[pa.RecordBatch], folder: str) -> list[Piece]:
    """Writes record batches of one schema to a file.

    Args:
      batches: written one by one, so that they need not be in memory together.
      folder: made if it is not there.

    Returns:
      Where each is, when all are written.
    """
    path = Path(folder) / f"{os.getpid()}-{os.urandom(8).hex()}.arrow"
    pieces: list[Piece] = []
    writer: pa.ipc.RecordBatchFileWriter | None = None
    try:
        for number, batch in enumerate(batches):
            if writer is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                writer = pa.ipc.new_file(str(path), batch.schema)
            writer.write_batch(batch)
            pieces.append((str(path), number, batch.num_rows))
    finally:
        if writer is not None:
            writer.close()
    return pieces


def spill_by_key(
    keyed: Iterable[tuple[int, pa.RecordBatch]], folder: str
) -> list[tuple[int, Piece]]:
    """The same for record batches with keys."""
    keys: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for key, batch in keyed:
            keys.append(key)
            yield batch

    pieces = spill(batches(), folder)
    return list(zip(keys, pieces, strict=True))


def load(piece: Piece) -> pa.RecordBatch:
    """A record batch, mapped from the file: what is not looked at is not read."""
    path, number, _ = piece
    return pa.ipc.open_file(pa.memory_map(path)).get_batch(number)


def load_all(pieces: Iterable[Piece]) -> Iterator[pa.RecordBatch]:
    """Record batches that are needed together, read file by file in any order.

    Thousands of files may not be open at once, as mapped ones would be.
    """
    for path, group in itertools.groupby(sorted(pieces), key=lambda piece: piece[0]):
        with pa.OSFile(path) as source:
            reader = pa.ipc.open_file(source)
            for _, number, _ in group:
                yield reader.get_batch(number)
