"""Compact records of examples: what the plan of the splits needs, without the examples."""

import dataclasses
import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_SPAN, _FIRST_KEY = b"span", b"first_key"


@dataclasses.dataclass(frozen=True)
class ExampleRecords:
    """Records of the examples of one batch.

    Attributes:
      span: Name of the span, empty for data without spans.
      keys: (n,) uint64 key of each row, unique in the run.
      splits: (n,) uint8 split assigned from the row alone, an index into ``SPLITS``.
    """

    span: str
    keys: npt.NDArray[np.uint64]
    splits: npt.NDArray[np.uint8]

    @classmethod
    def of_batch(
        cls, span: str, keys: npt.NDArray[np.uint64], splits: npt.NDArray[np.uint8]
    ) -> "ExampleRecords":
        """Build the records of a batch."""
        return cls(span, keys, splits)

    def to_bytes(self) -> bytes:
        """Serialize as an Arrow IPC stream. The keys are consecutive, so only the first is kept."""
        metadata = {_SPAN: self.span.encode(), _FIRST_KEY: str(int(self.keys[0])).encode()}
        rows = pa.record_batch({"split": self.splits}).replace_schema_metadata(metadata)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write(rows)
        return bytes(sink.getvalue())

    @classmethod
    def from_bytes(cls, content: bytes) -> "ExampleRecords":
        """Read what ``to_bytes`` wrote, without copying."""
        rows = pa.ipc.open_stream(content).read_next_batch()
        metadata = rows.schema.metadata
        keys = consecutive_keys(int(metadata[_FIRST_KEY]), rows.num_rows)
        return cls(metadata[_SPAN].decode(), keys, rows["split"].to_numpy())


def row_keys(batch_name: str, num_rows: int) -> npt.NDArray[np.uint64]:
    """Return a key for each row of a batch, unique among all batches with other names.

    The probability that two of n rows have the same key is n^2 / 2^65: 3e-8 for a million.
    """
    digest = hashlib.blake2b(batch_name.encode(errors="surrogateescape"), digest_size=8).digest()
    return consecutive_keys(int.from_bytes(digest, "little"), num_rows)


def consecutive_keys(first: int, num_keys: int) -> npt.NDArray[np.uint64]:
    """Return ``num_keys`` keys from ``first`` on, modulo 2^64."""
    return np.arange(num_keys, dtype=np.uint64) + np.uint64(first)
