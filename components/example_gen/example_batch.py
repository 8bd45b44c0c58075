"""A batch of a few thousand rows, between reading a file and writing the shards."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.example_gen.fingerprints import Fingerprints
from diptych.schemas.input_spec import SOURCE
from diptych.schemas.shards import ID_BYTES


@dataclasses.dataclass(frozen=True)
class Times:
    """Times of the examples of a batch, for a split by time.

    Attributes:
      values: (n,) float64; larger is newer. Dates are microseconds since 1970.
      dated: (n,) bool, True for a date or timestamp, False for a plain number.
    """

    values: npt.NDArray[np.float64]
    dated: npt.NDArray[np.bool_]

    def filter(self, kept: npt.NDArray[np.bool_]) -> "Times":
        """Return the times of the rows in ``kept``."""
        return Times(self.values[kept], self.dated[kept])


@dataclasses.dataclass(frozen=True)
class ExampleBatch:
    """Examples and rejected rows of one batch.

    Attributes:
      features: Usable rows: one list column per feature, as ``encode_examples`` expects.
      split_keys: One per usable row. A hash of it selects the split.
      rejected: Source and reason of each row that cannot be used.
      findings: Source and text of each observation about a usable row.
      given_splits: Split of each usable row, one of ``SPLITS``; None unless the data state it.
      sides: Fingerprints of the images of the usable rows: one of examples, two of given pairs.
        None for vectors, whose fingerprints are computed from the features.
      times: Times of the usable rows; None unless the data are split by a column of times.
      label_forms: Distinct pairs of a label as it is in the data and the normalized label.
    """

    features: pa.RecordBatch
    split_keys: Sequence[bytes]
    rejected: Sequence[tuple[str, str]]
    findings: Sequence[tuple[str, str]] = ()
    given_splits: Sequence[str] | None = None
    sides: Sequence[Fingerprints] | None = None
    times: Times | None = None
    label_forms: Sequence[tuple[str, str]] = ()

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

    def filter(self, kept: npt.NDArray[np.bool_]) -> "ExampleBatch":
        """Return a copy with the usable rows in ``kept``."""
        rows = np.flatnonzero(kept)
        given, sides, times = self.given_splits, self.sides, self.times
        return dataclasses.replace(
            self,
            features=self.features.filter(pa.array(kept)),
            split_keys=list(itertools.compress(self.split_keys, kept)),
            given_splits=None if given is None else list(itertools.compress(given, kept)),
            sides=None if sides is None else [side.take(rows) for side in sides],
            times=None if times is None else times.filter(kept),
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
