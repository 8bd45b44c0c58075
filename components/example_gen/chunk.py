"""A few thousand rows on their way from a file to the shards."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from diptych.schemas.input_spec import SOURCE
from diptych.schemas.shards import ID_BYTES


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What became of some rows.

    Attributes:
      features: the usable rows; a list column a feature, as ``encode_examples`` takes them.
      keys: one a usable row: its split is a hash of this.
      rejected: source and reason of each row that is not usable.
    """

    features: pa.RecordBatch
    keys: Sequence[bytes]
    rejected: Sequence[tuple[str, str]]

    def of_span(self, span: str) -> "Chunk":
        """With the name of the span before each source."""
        prefix = f"{span}/"
        sources = self.features.column(SOURCE).flatten().to_pylist()
        at = self.features.schema.get_field_index(SOURCE)
        return Chunk(
            self.features.set_column(
                at, SOURCE, bytes_feature(prefix.encode() + source for source in sources)
            ),
            self.keys,
            [(prefix + source, reason) for source, reason in self.rejected],
        )


def bytes_feature(values: Iterable[bytes | str]) -> pa.Array:
    """A column of one bytes value a row."""
    return lists_of(
        pa.array([v.encode() if isinstance(v, str) else v for v in values], pa.binary()), 1
    )


def lists_of(values: pa.Array, width: int) -> pa.Array:
    """Rows of ``width`` values each, from the values one after another."""
    offsets = np.arange(0, len(values) + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def content_ids(parts: Iterable[Any]) -> list[str]:
    """Ids from contents: the same bytes have the same id, in any file and any night.

    Args:
      parts: bytes, or arrays whose memory is what counts.

    Returns:
      32 hexadecimal characters each.
    """
    return [hashlib.blake2b(part, digest_size=ID_BYTES).hexdigest() for part in parts]
