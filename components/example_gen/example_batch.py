"""A batch of a few thousand rows, between reading a file and writing the shards."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from diptych.schemas.input_spec import SOURCE
from diptych.schemas.shards import ID_BYTES


@dataclasses.dataclass(frozen=True)
class ExampleBatch:
    """Examples and rejected rows of one batch.

    Attributes:
      features: Usable rows: one list column per feature, as ``encode_examples`` expects.
      split_keys: One per usable row. A hash of it selects the split.
      rejected: Source and reason of each row that cannot be used.
      findings: Source and text of each observation about a usable row.
      given_splits: Split of each usable row, one of ``SPLITS``; None unless the data state it.
    """

    features: pa.RecordBatch
    split_keys: Sequence[bytes]
    rejected: Sequence[tuple[str, str]]
    findings: Sequence[tuple[str, str]] = ()
    given_splits: Sequence[str] | None = None

    def with_span(self, span: str) -> "ExampleBatch":
        """Return a copy whose sources start with the name of the span."""
        prefix = f"{span}/"
        sources = self.features.column(SOURCE).flatten().to_pylist()
        index = self.features.schema.get_field_index(SOURCE)
        return dataclasses.replace(
            self,
            features=self.features.set_column(
                index, SOURCE, bytes_feature(prefix.encode() + source for source in sources)
            ),
            rejected=[(prefix + source, reason) for source, reason in self.rejected],
            findings=[(prefix + source, text) for source, text in self.findings],
        )


def bytes_feature(values: Iterable[bytes | str]) -> pa.Array:
    """Build a column with one bytes value per row."""
    return list_feature(
        pa.array([v.encode() if isinstance(v, str) else v for v in values], pa.binary()), 1
    )


def list_feature(values: pa.Array, width: int) -> pa.Array:
    """Build a column of ``width`` values per row from flat values in row order."""
    offsets = np.arange(0, len(values) + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def compute_ids(contents: Iterable[Any]) -> list[str]:
    """Hash contents to ids: equal bytes have equal ids, in any file and any run.

    Args:
      contents: Bytes, or arrays whose memory is hashed.

    Returns:
      32 hexadecimal characters each.
    """
    return [hashlib.blake2b(content, digest_size=ID_BYTES).hexdigest() for content in contents]
