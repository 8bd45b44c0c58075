"""The shard format: examples in P x K batches, pairs and triplets as row numbers of them.

A split is a folder with a ``manifest.json`` and, for each shard, three files::

    examples-00000-of-00008.arrow     one row per example placed, in batch order (one record batch)
    pairs-00000-of-00008.parquet      batch, left, right, same, weight
    triplets-00000-of-00008.parquet   batch, anchor, positive, negative, weight

``left``, ``right``, ``anchor``, ``positive`` and ``negative`` are rows of the examples file of
the same shard. Batch number b of the split is in shard ``b % num_shards``, so a reader of the
shards w, w + n, w + 2n ... gets its share of every n consecutive batches.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from diptych.schemas.files import whole_file

SPLITS = ("train", "calibration", "test")
SAME = 1  # of a pair's ``same``: 1 alike, 0 different; everywhere
ID_BYTES = 16

PAIRS = pa.schema(
    [
        ("batch", pa.int32()),
        ("left", pa.int32()),
        ("right", pa.int32()),
        ("same", pa.int8()),
        ("weight", pa.float32()),
    ]
)
TRIPLETS = pa.schema(
    [
        ("batch", pa.int32()),
        ("anchor", pa.int32()),
        ("positive", pa.int32()),
        ("negative", pa.int32()),
        ("weight", pa.float32()),
    ]
)


class InputShape(pydantic.BaseModel):
    """What the encoder is given: uint8 images (height, width, channels) or float32 vectors (d,)."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kind: str  # image or vector
    shape: tuple[int, ...]

    @property
    def arrow_type(self) -> pa.DataType:
        """Type of the column ``x`` of the examples file."""
        if self.kind == "image":
            height, width, channels = self.shape
            return pa.binary(height * width * channels)
        return pa.list_(pa.float32(), self.shape[0])


def examples_schema(x: pa.DataType) -> pa.Schema:
    """Columns of an examples file.

    Args:
      x: type of the input: fixed size binary (raw uint8 pixels) or fixed size list of float32.

    ``label`` is the class by name (empty for data that came in pairs), ``class`` its number in
    the vocabulary of the training split, -1 for a class that is not in it. ``weight`` is that of
    its class (1 for data that came in pairs: there, only the pairs have one), ``repeats`` how
    often the example is placed in a round: more than once is oversampled.
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
    """File name of a shard; ``table`` is examples, pairs or triplets."""
    ending = "arrow" if table == "examples" else "parquet"
    return f"{table}-{shard:05d}-of-{num_shards:05d}.{ending}"


class Manifest(pydantic.BaseModel):
    """Counts of one split, in its ``manifest.json``."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    input: InputShape
    num_shards: int
    num_batches: int
    num_examples: int  # distinct ones
    num_placed: int  # rows of all examples files
    num_classes: int  # with at least one example
    num_singletons: int  # classes with one example: different pairs only
    num_same: int
    num_different: int
    num_triplets: int
    batches_per_shard: tuple[int, ...]

    @property
    def num_pairs(self) -> int:
        """Same and different ones."""
        return self.num_same + self.num_different

    def write(self, folder: Path) -> None:
        """Writes ``manifest.json`` into the folder of the split."""
        write_json(self, folder / "manifest.json")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Reads ``manifest.json`` from the folder of the split."""
        return cls.model_validate_json((folder / "manifest.json").read_bytes())


def write_json(model: pydantic.BaseModel, path: Path) -> None:
    """Writes a model beside its name, and renames."""
    text = json.dumps(model.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    with whole_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


@dataclasses.dataclass(frozen=True)
class SplitPairs:
    """All pairs of a split over its distinct examples, as the shards list them.

    ``shard`` and ``row`` (n,) say where an example first stands, ``ids`` (n, 16) uint8 its id;
    ``left``, ``right`` (m,) are rows of these, ``same`` (m,) is 1 or 0. ``placed`` says for each
    shard which of these its rows hold.
    """

    ids: np.ndarray
    shard: np.ndarray
    row: np.ndarray
    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    labels: np.ndarray  # (n,) bytes objects
    classes: np.ndarray  # (n,) int64
    placed: list[np.ndarray]


def read_split_pairs(folder: Path, most: int | None = None) -> SplitPairs:
    """Reads the pairs of a split, each example once, ordered by id.

    Memory: the ids and the pairs, not the examples.

    Args:
      folder: of the split.
      most: so many rows of the first shards at most, and the pairs among them; None: all.
    """
    manifest = Manifest.read(folder)
    ids, labels, classes, shards, rows, pairs = [], [], [], [], [], []
    placed = 0
    for shard in range(manifest.num_shards):
        left_over = None if most is None else most - placed
        if left_over == 0:
            break
        name = folder / shard_name("examples", shard, manifest.num_shards)
        with pa.memory_map(str(name)) as source:
            table = pa.ipc.open_file(source).read_all().slice(0, left_over)
            ids.append(fixed_binary_to_numpy(table["id"].combine_chunks(), ID_BYTES).copy())
            labels.append(table["label"].to_numpy())
            classes.append(table["class"].to_numpy().copy())
        shards.append(np.full(len(ids[-1]), shard, np.int32))
        rows.append(np.arange(len(ids[-1])))
        name = folder / shard_name("pairs", shard, manifest.num_shards)
        table = pq.read_table(name, columns=["left", "right", "same"])
        left, right, same = (column.to_numpy() for column in table.columns)
        inside = np.maximum(left, right) < len(ids[-1])
        left, right, same = left[inside], right[inside], same[inside]
        pairs.append((left.astype(np.int64) + placed, right.astype(np.int64) + placed, same))
        placed += len(ids[-1])
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
        placed=np.split(inverse, np.cumsum([len(some) for some in ids])[:-1]),
    )


def fixed_binary_to_numpy(column: pa.Array, width: int) -> np.ndarray:
    """A view of a fixed size binary column as (n, width) uint8, without a copy."""
    values = np.frombuffer(column.buffers()[1], np.uint8)
    return values[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)


def inputs_to_numpy(column: pa.Array, shape: InputShape) -> np.ndarray:
    """A view of the column ``x`` as (n, *shape), uint8 or float32, without a copy."""
    if shape.kind == "image":
        width = int(np.prod(shape.shape))
        return fixed_binary_to_numpy(column, width).reshape(-1, *shape.shape)
    values: np.ndarray = column.flatten().to_numpy(zero_copy_only=True)
    return values.reshape(-1, *shape.shape)
