"""Shard format: examples in P x K batches, and pairs and triplets as row numbers.

A split is a folder with a ``manifest.json`` and three files per shard::

    examples-00000-of-00008.arrow     one row per use of an example, by batch; one record batch
    pairs-00000-of-00008.parquet      batch, left, right, same, weight
    triplets-00000-of-00008.parquet   batch, anchor, positive, negative, weight

``left``, ``right``, ``anchor``, ``positive`` and ``negative`` are row numbers in the examples file
of the same shard. Batch b of the split is in shard ``b % num_shards``, so worker w of n reads the
shards w, w + n, w + 2n ... and gets one of every n consecutive batches.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.schemas.json_model import JsonModel, write_json

SPLITS = ("train", "calibration", "test")
POSITIVE = 1  # value of the column ``same`` of a positive pair; 0 for a negative pair
ID_BYTES = 16

PAIRS_SCHEMA = pa.schema(
    [
        ("batch", pa.int32()),
        ("left", pa.int32()),
        ("right", pa.int32()),
        ("same", pa.int8()),
        ("weight", pa.float32()),
    ]
)
TRIPLETS_SCHEMA = pa.schema(
    [
        ("batch", pa.int32()),
        ("anchor", pa.int32()),
        ("positive", pa.int32()),
        ("negative", pa.int32()),
        ("weight", pa.float32()),
    ]
)


class InputShape(JsonModel):
    """Encoder input: uint8 images (height, width, channels) or float32 vectors (d,)."""

    kind: str  # image or vector
    shape: tuple[int, ...]

    @property
    def arrow_type(self) -> pa.DataType:
        """Arrow type of the column ``x`` in the examples file."""
        if self.kind == "image":
            height, width, channels = self.shape
            return pa.binary(height * width * channels)
        return pa.list_(pa.float32(), self.shape[0])


def examples_schema(x: pa.DataType) -> pa.Schema:
    """Return the schema of an examples file.

    ``label`` is the name of the class, empty if the data are given pairs. ``class`` is its index in
    the vocabulary of the training split, or -1 if the class is not in it. ``weight`` is the class
    weight; it is 1 if the data are given pairs, because then only pairs have weights. ``repeats``
    is the number of uses of the example in a round, above 1 if it is oversampled.

    Args:
      x: Input type: fixed size binary (raw uint8 pixels) or fixed size list of float32.
    """
    return pa.schema(
        [
            ("batch", pa.int32()),
            ("id", pa.binary(ID_BYTES)),
            ("label", pa.binary()),
            ("class", pa.int64()),
            ("weight", pa.float32()),
            ("repeats", pa.int32()),
            ("x", x),
        ]
    )


def shard_name(table: str, shard: int, num_shards: int) -> str:
    """Return the file name of a shard; ``table`` is examples, pairs or triplets."""
    extension = "arrow" if table == "examples" else "parquet"
    return f"{table}-{shard:05d}-of-{num_shards:05d}.{extension}"


class SplitManifest(JsonModel):
    """Counts of one split, in its ``manifest.json``."""

    input: InputShape
    num_shards: int
    num_batches: int
    num_examples: int  # distinct examples
    num_rows: int  # rows of all examples files
    num_classes: int  # with at least one example
    num_singletons: int  # classes with one example: negative pairs only
    num_positive: int
    num_negative: int
    num_triplets: int
    batches_per_shard: tuple[int, ...]

    @property
    def num_pairs(self) -> int:
        """Number of positive and negative pairs."""
        return self.num_positive + self.num_negative

    def write(self, folder: Path) -> None:
        """Write ``manifest.json`` into the folder of the split."""
        write_json(self, folder / "manifest.json")

    @classmethod
    def read(cls, folder: Path) -> "SplitManifest":
        """Read ``manifest.json`` from the folder of the split."""
        return cls.model_validate_json((folder / "manifest.json").read_bytes())


@dataclasses.dataclass(frozen=True)
class SplitPairs:
    """All pairs of a split over its n distinct examples, in the order of the shards.

    Attributes:
      ids: (n, 16) uint8 ids of the examples, sorted.
      shard: (n,) shard of the first use of each example.
      row: (n,) row of the first use in that shard.
      left: (m,) index of the left example of each pair.
      right: (m,) index of the right example.
      same: (m,) 1 for positive and 0 for negative pairs.
      labels: (n,) bytes objects.
      classes: (n,) int64 class indices.
      placed: For each shard, (rows,) the example index of each row.
    """

    ids: np.ndarray
    shard: np.ndarray
    row: np.ndarray
    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    placed: list[np.ndarray]


def read_split_pairs(folder: Path, max_rows: int | None = None) -> SplitPairs:
    """Read the pairs of a split over its distinct examples, sorted by id.

    Memory: the ids and the pairs, not the examples.

    Args:
      folder: Folder of the split.
      max_rows: Read only the first rows of the shards and the pairs among them. None reads all.
    """
    manifest = SplitManifest.read(folder)
    ids, labels, classes, shards, rows, pairs = [], [], [], [], [], []
    num_rows = 0
    for shard in range(manifest.num_shards):
        remaining = None if max_rows is None else max_rows - num_rows
        if remaining == 0:
            break
        path = folder / shard_name("examples", shard, manifest.num_shards)
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all().slice(0, remaining)
            ids.append(fixed_binary_to_numpy(table["id"].combine_chunks(), ID_BYTES).copy())
            labels.append(table["label"].to_numpy())
            classes.append(table["class"].to_numpy().copy())
        shards.append(np.full(len(ids[-1]), shard, np.int32))
        rows.append(np.arange(len(ids[-1])))
        path = folder / shard_name("pairs", shard, manifest.num_shards)
        table = pq.read_table(path, columns=["left", "right", "same"])
        left, right, same = (column.to_numpy() for column in table.columns)
        is_read = np.maximum(left, right) < len(ids[-1])
        left, right, same = left[is_read], right[is_read], same[is_read]
        pairs.append((left.astype(np.int64) + num_rows, right.astype(np.int64) + num_rows, same))
        num_rows += len(ids[-1])
    all_ids = np.concatenate(ids)
    _, first, inverse = np.unique(
        np.ascontiguousarray(all_ids).view(f"V{ID_BYTES}").ravel(),
        return_index=True,
        return_inverse=True,
    )
    return SplitPairs(
        ids=all_ids[first],
        shard=np.concatenate(shards)[first],
        row=np.concatenate(rows)[first],
        left=inverse[np.concatenate([left for left, _, _ in pairs])],
        right=inverse[np.concatenate([right for _, right, _ in pairs])],
        same=np.concatenate([same for _, _, same in pairs]),
        labels=np.concatenate(labels)[first],
        classes=np.concatenate(classes)[first],
        placed=np.split(inverse, np.cumsum([len(shard_ids) for shard_ids in ids])[:-1]),
    )


def fixed_binary_to_numpy(column: pa.Array, width: int) -> np.ndarray:
    """View a fixed size binary column as (n, width) uint8 without copying."""
    values = np.frombuffer(column.buffers()[1], np.uint8)
    return values[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)


def inputs_to_numpy(column: pa.Array, shape: InputShape) -> np.ndarray:
    """View the column ``x`` as (n, *shape), uint8 or float32, without copying."""
    if shape.kind == "image":
        width = int(np.prod(shape.shape))
        return fixed_binary_to_numpy(column, width).reshape(-1, *shape.shape)
    values: np.ndarray = column.flatten().to_numpy(zero_copy_only=True)
    return values.reshape(-1, *shape.shape)
