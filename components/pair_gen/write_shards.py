"""Write the files of a shard and the manifest of a split, each atomically."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.pair_gen.plan import Plan
from diptych.components.pair_gen.shard import ShardTables
from diptych.schemas.files import atomic_write
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.shards import SplitManifest, shard_name


def write_shard(tables: ShardTables, shard: int, num_shards: int, folder: Path) -> dict[str, int]:
    """Write the three files of a shard; equal tables give identical bytes.

    Returns:
      The number of the shard, and its counts, keyed as in the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("examples", "pairs", "triplets"):
        _write_table_file(folder / shard_name(name, shard, num_shards), getattr(tables, name))
    num_positive = int(np.count_nonzero(tables.pairs.column("same").to_numpy()))
    return {
        "shard": shard,
        "num_batches": tables.num_batches,
        "num_rows": tables.examples.num_rows,
        "num_positive": num_positive,
        "num_negative": tables.pairs.num_rows - num_positive,
        "num_triplets": tables.triplets.num_rows,
    }


def write_manifest(
    stats: Iterable[dict[str, int]], plan: Plan, num_examples: int, inputs: InputSpec, folder: Path
) -> SplitManifest:
    """Write the manifest, after all other files of the split.

    Args:
      stats: Results of ``write_shard`` for all shards, in any order.
      plan: Plan of the split.
      num_examples: Number of distinct examples.
      inputs: Inputs of the run.
      folder: Folder of the split.
    """
    stats = sorted(stats, key=lambda shard: shard["shard"])
    sums = {name: sum(shard[name] for shard in stats) for name in stats[0] if name != "shard"}
    counts = plan.counts[:0] if inputs.paired else plan.counts
    manifest = SplitManifest(
        input=inputs.shape,
        num_shards=len(stats),
        num_examples=num_examples,
        num_classes=counts.size,
        num_singletons=int((counts == 1).sum()),
        batches_per_shard=tuple(shard["num_batches"] for shard in stats),
        **sums,
    )
    manifest.write(folder)
    return manifest


def _write_table_file(path: Path, table: pa.RecordBatch | pa.Table) -> None:
    with atomic_write(path) as tmp_path:
        if isinstance(table, pa.RecordBatch):
            with (
                pa.OSFile(str(tmp_path), "wb") as sink,
                pa.ipc.new_file(sink, table.schema) as writer,
            ):
                writer.write_batch(table)
        else:
            # Consecutive row numbers differ little. Delta encoding takes about a byte per number
            # and half the time of the default, a dictionary.
            encodings = dict.fromkeys(table.schema.names, "DELTA_BINARY_PACKED")
            dictionary_columns = [name for name in ("same", "weight") if encodings.pop(name, None)]
            pq.write_table(
                table, tmp_path, use_dictionary=dictionary_columns, column_encoding=encodings
            )
