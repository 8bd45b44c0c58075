"""Write small pair shards: all pairs of each batch, without balancing."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.schemas.shards import (
    PAIRS_SCHEMA,
    TRIPLETS_SCHEMA,
    InputShape,
    SplitManifest,
    examples_schema,
    shard_name,
)


def write_split(
    folder: Path, batches: list[tuple[np.ndarray, np.ndarray]], num_shards: int
) -> None:
    """Write batches of (x, class numbers); the id of an example is its content."""
    folder.mkdir(parents=True)
    first = batches[0][0]
    kind = "image" if first.dtype == np.uint8 else "vector"
    shape = InputShape(kind=kind, shape=first.shape[1:])
    counts = dict.fromkeys(("same", "different", "placed"), 0)
    for shard in range(num_shards):
        shard_batches = [number for number in range(len(batches)) if number % num_shards == shard]
        columns: dict[str, list] = {name: [] for name in examples_schema(shape.arrow_type).names}
        pairs: list[tuple[int, int, int, int, float]] = []
        for number in shard_batches:
            x, classes = batches[number]
            start = len(columns["batch"])
            for value, class_number in zip(x, classes, strict=True):
                raw = value.tobytes()
                columns["batch"].append(number)
                columns["id"].append(raw[:16].ljust(16, b"\0"))
                columns["label"].append(str(class_number).encode())
                columns["class"].append(int(class_number))
                columns["weight"].append(1.0)
                columns["repeats"].append(1)
                columns["x"].append(raw if kind == "image" else value.tolist())
            for left, right in combinations(range(len(x)), 2):
                same = int(classes[left] == classes[right])
                counts["same" if same else "different"] += 1
                pairs.append((number, start + left, start + right, same, 1.0))
        counts["placed"] += len(columns["batch"])
        table = pa.table(columns, schema=examples_schema(shape.arrow_type)).combine_chunks()
        with pa.ipc.new_file(folder / shard_name("examples", shard, num_shards), table.schema) as f:
            f.write_table(table)
        rows = list(zip(*pairs, strict=True)) or [[] for _ in PAIRS_SCHEMA]
        arrays = [pa.array(row, field.type) for row, field in zip(rows, PAIRS_SCHEMA, strict=True)]
        pq.write_table(
            pa.table(arrays, schema=PAIRS_SCHEMA), folder / shard_name("pairs", shard, num_shards)
        )
        pq.write_table(
            TRIPLETS_SCHEMA.empty_table(), folder / shard_name("triplets", shard, num_shards)
        )
    SplitManifest(
        input=shape,
        num_shards=num_shards,
        num_batches=len(batches),
        num_examples=counts["placed"],
        num_rows=counts["placed"],
        num_classes=len({int(number) for _, classes in batches for number in classes}),
        num_singletons=0,
        num_positive=counts["same"],
        num_negative=counts["different"],
        num_triplets=0,
        batches_per_shard=tuple(
            len(range(shard, len(batches), num_shards)) for shard in range(num_shards)
        ),
    ).write(folder)


def blobs(batches: int, seed: int, classes: int = 4, each: int = 3, size: int = 6) -> list:
    """Make batches of vectors with one well separated cluster per class."""
    centres = np.random.default_rng(0).normal(size=(classes, size)) * 3
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    return [
        ((centres[labels] + generator.normal(size=(len(labels), size))).astype(np.float32), labels)
        for _ in range(batches)
    ]


def write_blobs(folder: Path, batches: int, num_shards: int = 4) -> Path:
    """Write a pair set of blobs: the given number of training batches, and two for calibration."""
    write_split(folder / "Split-train", blobs(batches=batches, seed=1), num_shards)
    write_split(folder / "Split-calibration", blobs(batches=2, seed=2), num_shards)
    return folder
