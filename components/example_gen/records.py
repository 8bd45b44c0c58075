"""Compact records of examples: what the plan of the splits needs, without the examples.

The numbers of all examples are held together in memory. Their names (sources, labels and complete
ids) stay compressed, batch by batch, because only the names of a few examples are needed.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.example_gen.corrections import CorrectedBatch
from diptych.components.example_gen.fingerprints import THUMBNAIL_BYTES, Fingerprints, UInt64s
from diptych.components.example_gen.splits import hash_keys
from diptych.schemas.input_spec import ID, LABEL, LEFT_ID, RIGHT_ID, SAME, SOURCE
from diptych.schemas.shards import POSITIVE, fixed_binary_to_numpy

_LABEL_SALT = 1  # any constant
_NAMES_OPTIONS = {"compression": "zstd"}

Indices = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class ExampleRecords:
    """Records of the n examples of one batch, or of several.

    Attributes:
      keys: (n,) uint64 key of each row, unique in the run.
      splits: (n,) uint8 split assigned from the row alone, an index into ``SPLITS``.
      ids: (n,) uint64, the first half of the ids.
      labels: (n,) uint64 hash of the label; of given pairs, 1 for positive and 0 for negative ones.
      sides: Fingerprints of the examples, or of the left and the right side of given pairs.
      times: (n,) float64 for a split by time, None otherwise.
      dated: (n,) bool, True if the time is a date, False if it is a number; None without times.
    """

    keys: UInt64s
    splits: npt.NDArray[np.uint8]
    ids: UInt64s
    labels: UInt64s
    sides: tuple[Fingerprints, ...]
    times: npt.NDArray[np.float64] | None = None
    dated: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.keys)


@dataclasses.dataclass(frozen=True)
class ExampleNames:
    """Names of examples: (n,) sources and labels, and (n, 16) uint8 ids.

    ``ids`` has one entry for the examples, or two for the left and right sides of given pairs.
    """

    sources: Sequence[str]
    labels: Sequence[str]
    ids: tuple[npt.NDArray[np.uint8], ...]


@dataclasses.dataclass(frozen=True)
class BatchRecords:
    """Records and names of one batch, serialized.

    Attributes:
      span: Name of the span, empty for data without spans.
      first_key: Key of the first row; the keys of a batch are consecutive.
      matched: Rows of ``data.corrections`` that matched an example of the batch.
      relabelled: Number of examples with a corrected label, by the new label.
      numbers: Arrow IPC stream.
      names: Compressed Arrow IPC stream.
    """

    span: str
    first_key: int
    matched: Sequence[int]
    relabelled: Mapping[str, int]
    numbers: bytes
    names: bytes

    @classmethod
    def of_batch(
        cls,
        span: str,
        keys: UInt64s,
        splits: npt.NDArray[np.uint8],
        corrected: CorrectedBatch,
        sides: Sequence[Fingerprints],
    ) -> "BatchRecords":
        """Build the records of a batch.

        Args:
          span: Name of the span.
          keys: (n,) consecutive keys.
          splits: (n,) splits assigned so far.
          corrected: The batch after corrections, with the span in its sources.
          sides: Fingerprints of the examples, or of both sides of given pairs.
        """
        batch = corrected.batch
        features = batch.features
        ids = _decode_ids(features.column(ID))
        if SAME in features.schema.names:
            labels = features.column(SAME).flatten()
            label_keys = labels.to_numpy().astype(np.uint64)
            named = [_decode_ids(features.column(name)) for name in (LEFT_ID, RIGHT_ID)]
        else:
            labels = features.column(LABEL).flatten()
            label_keys = to_label_keys(labels.to_pylist())
            named = [ids]
        columns: dict[str, npt.NDArray[np.generic] | pa.Array] = {
            "split": splits,
            "id": ids[:, :8].copy().view(">u8").ravel().astype(np.uint64),
            "label": label_keys,
        }
        for number, side in enumerate(sides):
            columns |= {
                f"exact{number}": side.exact,
                f"content{number}": side.content,
                f"near{number}": side.near[:, 0].copy(),
                f"cells{number}": side.near[:, 1].copy(),
            }
            if side.thumbnails is not None:
                columns[f"thumbnail{number}"] = _to_fixed_binary(side.thumbnails)
        if batch.times is not None:
            columns |= {"time": batch.times.values, "dated": batch.times.dated}
        names = {"source": features.column(SOURCE).flatten(), "label": labels}
        names |= {f"id{number}": _to_fixed_binary(each) for number, each in enumerate(named)}
        return cls(
            span,
            int(keys[0]) if len(keys) else 0,
            corrected.matched,
            corrected.relabelled,
            _to_ipc(pa.record_batch(columns), pa.ipc.IpcWriteOptions()),
            _to_ipc(pa.record_batch(names), pa.ipc.IpcWriteOptions(**_NAMES_OPTIONS)),
        )

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return int(pa.ipc.open_stream(self.numbers).read_next_batch().num_rows)

    def to_element(self) -> tuple[str, bytes, bytes]:
        """Return a tuple of built-in types."""
        head = json.dumps([self.span, self.first_key, self.matched, self.relabelled])
        return head, self.numbers, self.names

    @classmethod
    def from_element(cls, element: tuple[str, bytes, bytes]) -> "BatchRecords":
        """Read what ``to_element`` wrote."""
        head, numbers, names = element
        span, first_key, matched, relabelled = json.loads(head)
        return cls(span, first_key, matched, relabelled, numbers, names)

    def read(self) -> ExampleRecords:
        """Read the numbers, without copying."""
        rows = pa.ipc.open_stream(self.numbers).read_next_batch()
        number = 0
        sides = []
        while f"exact{number}" in rows.schema.names:
            near = [rows[f"{name}{number}"].to_numpy() for name in ("near", "cells")]
            sides.append(
                Fingerprints(
                    rows[f"exact{number}"].to_numpy(),
                    rows[f"content{number}"].to_numpy(),
                    np.stack(near, axis=1),
                )
            )
            number += 1
        times = rows["time"].to_numpy() if "time" in rows.schema.names else None
        return ExampleRecords(
            consecutive_keys(self.first_key, rows.num_rows),
            rows["split"].to_numpy(),
            rows["id"].to_numpy(),
            rows["label"].to_numpy(),
            tuple(sides),
            times,
            None if times is None else rows["dated"].to_numpy(zero_copy_only=False),
        )

    def read_thumbnails(self, side: int) -> npt.NDArray[np.uint8]:
        """View the thumbnails, without copying."""
        column = pa.ipc.open_stream(self.numbers).read_next_batch()[f"thumbnail{side}"]
        return fixed_binary_to_numpy(column, THUMBNAIL_BYTES)

    def read_names(self, rows: Indices) -> ExampleNames:
        """Read the names of some rows."""
        table = pa.ipc.open_stream(self.names).read_next_batch().take(pa.array(rows))
        labels = table["label"]
        if pa.types.is_integer(labels.type):
            words = ["positive" if same == POSITIVE else "negative" for same in labels.to_pylist()]
        else:
            words = [label.decode(errors="replace") for label in labels.to_pylist()]
        ids = [table[name] for name in table.schema.names if name.startswith("id")]
        return ExampleNames(
            [source.decode(errors="replace") for source in table["source"].to_pylist()],
            words,
            tuple(fixed_binary_to_numpy(column, 16) for column in ids),
        )


class RecordTable:
    """Records of all batches, and access to the names and thumbnails of some of them."""

    def __init__(self, batches: Sequence[BatchRecords]) -> None:
        """Concatenate the records; the order of the batches does not change the result.

        Args:
          batches: At least one batch, all of the same kind of data.
        """
        self._batches = sorted(batches, key=lambda batch: (batch.span, batch.first_key))
        parts = [batch.read() for batch in self._batches]
        self._first_rows = np.cumsum([0, *(len(part) for part in parts)])
        self.records = _concatenate(parts)
        self._views: dict[int, list[npt.NDArray[np.uint8]]] = {}
        self.has_thumbnails = "thumbnail0" in _schema_names(self._batches[0].numbers)

    def __len__(self) -> int:
        return len(self.records)

    def spans(self) -> Iterator[tuple[str, slice]]:
        """Yield the span and the rows of each batch."""
        bounds = zip(self._first_rows[:-1], self._first_rows[1:], strict=True)
        for batch, (first, end) in zip(self._batches, bounds, strict=True):
            yield batch.span, slice(int(first), int(end))

    def names(self, rows: Indices) -> ExampleNames:
        """Return the names of rows, in their order."""
        sources, labels = [""] * len(rows), [""] * len(rows)
        num_sides = len(self.records.sides)
        ids = tuple(np.zeros((len(rows), 16), np.uint8) for _ in range(num_sides))
        for number, places, local in self._by_batch(rows):
            names = self._batches[number].read_names(local)
            for place, source, label in zip(places, names.sources, names.labels, strict=True):
                sources[place], labels[place] = source, label
            for target, found in zip(ids, names.ids, strict=True):
                target[places] = found
        return ExampleNames(sources, labels, ids)

    def thumbnails(self, rows: Indices, side: int = 0) -> npt.NDArray[np.uint8]:
        """Return the (n, ``THUMBNAIL_BYTES``) thumbnails of rows."""
        thumbnails = np.empty((len(rows), THUMBNAIL_BYTES), np.uint8)
        views = self._thumbnail_views(side)
        for number, places, local in self._by_batch(rows):
            thumbnails[places] = views[number][local]
        return thumbnails

    def _thumbnail_views(self, side: int) -> list[npt.NDArray[np.uint8]]:
        if side not in self._views:
            self._views[side] = [batch.read_thumbnails(side) for batch in self._batches]
        return self._views[side]

    def _by_batch(self, rows: Indices) -> Iterator[tuple[int, Indices, Indices]]:
        """Yield the batch, the places in ``rows``, and the rows inside the batch."""
        if not len(rows):
            return
        order = np.argsort(rows, kind="stable")
        batches = np.searchsorted(self._first_rows, rows[order], side="right") - 1
        starts = np.flatnonzero(np.diff(batches, prepend=-1))
        for start, places in zip(starts, np.split(order, starts[1:]), strict=True):
            number = int(batches[start])
            yield number, places, rows[places] - self._first_rows[number]


def to_label_keys(labels: Sequence[bytes]) -> UInt64s:
    """Hash labels as in ``ExampleRecords.labels``."""
    return hash_keys(labels, _LABEL_SALT)


def row_keys(batch_name: str, num_rows: int) -> UInt64s:
    """Return a key for each row of a batch, unique among all batches with other names.

    The probability that two of n rows have the same key is n^2 / 2^65: 3e-8 for a million.
    """
    digest = hashlib.blake2b(batch_name.encode(errors="surrogateescape"), digest_size=8).digest()
    return consecutive_keys(int.from_bytes(digest, "little"), num_rows)


def consecutive_keys(first: int, num_keys: int) -> UInt64s:
    """Return ``num_keys`` keys from ``first`` on, modulo 2^64."""
    return np.arange(num_keys, dtype=np.uint64) + np.uint64(first)


def _concatenate(parts: Sequence[ExampleRecords]) -> ExampleRecords:
    def join(name: str) -> npt.NDArray[np.generic]:
        return np.concatenate([getattr(part, name) for part in parts])

    sides = tuple(
        Fingerprints(
            *(
                np.concatenate([getattr(part.sides[side], name) for part in parts])
                for name in ("exact", "content", "near")
            )
        )
        for side in range(len(parts[0].sides))
    )
    joined = {name: join(name) for name in ("keys", "splits", "ids", "labels")}
    if parts[0].times is not None:
        joined |= {name: join(name) for name in ("times", "dated")}
    return ExampleRecords(sides=sides, **joined)  # type: ignore[arg-type]


def _decode_ids(column: pa.Array) -> npt.NDArray[np.uint8]:
    """Convert a feature of hexadecimal ids to (n, 16) uint8."""
    text = b"".join(column.flatten().to_pylist())
    return np.frombuffer(bytes.fromhex(text.decode()), np.uint8).reshape(-1, 16)


def _to_fixed_binary(rows: npt.NDArray[np.uint8]) -> pa.Array:
    width = rows.shape[1]
    buffer = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), [None, buffer])


def _to_ipc(rows: pa.RecordBatch, options: pa.ipc.IpcWriteOptions) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write(rows)
    return bytes(sink.getvalue())


def _schema_names(stream: bytes) -> list[str]:
    names: list[str] = pa.ipc.open_stream(stream).schema.names
    return names
