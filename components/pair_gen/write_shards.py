"""The files of a shard and the manifest of a split. Each is written beside its name and renamed."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.pair_gen.plan import Plan
from diptych.components.pair_gen.shard import Tables
from diptych.schemas.files import whole_file
from diptych.schemas.input_spec import Inputs
from diptych.schemas.shards import Manifest, shard_name


def write_shard(tables: Tables, shard: int, num_shards: int, folder: Path) -> dict[str, int]:
    """Writes the three files of a shard, the same bytes for the same tables.

    Returns:
      The number of the shard, and its counts by the names of the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("examples", "pairs", "triplets"):
        _write(folder / shard_name(name, shard, num_shards), getattr(tables, name))
    same = int(np.count_nonzero(tables.pairs.column("same").to_numpy()))
    return {
        "shard": shard,
        "num_batches": tables.num_batches,
        "num_placed": tables.examples.num_rows,
        "num_same": same,
        "num_different": tables.pairs.num_rows - same,
        "num_triplets": tables.triplets.num_rows,
    }


def write_manifest(
    stats: Iterable[dict[str, int]], plan: Plan, num_examples: int, inputs: Inputs, folder: Path
) -> Manifest:
    """Writes the manifest, last of all files of the split.

    Args:
      stats: what ``write_shard`` returned for each shard, in any order.
      plan: of the split.
      num_examples: distinct ones.
      inputs: of the run.
      folder: of the split.
    """
    stats = sorted(stats, key=lambda shard: shard["shard"])
    sums = {name: sum(shard[name] for shard in stats) for name in stats[0] if name != "shard"}
    counts = plan.counts[:0] if inputs.paired else plan.counts
    manifest = Manifest(
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


def _write(path: Path, table: pa.RecordBatch | pa.Table) -> None:
    with whole_file(path) as beside:
        if isinstance(table, pa.RecordBatch):
            with pa.OSFile(str(beside), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
                out.write_batch(table)
        else:
            # Row numbers in batch order differ little from one to the next: as differences they
            # take a byte or so, and half the time of the default, a dictionary.
            rows = dict.fromkeys(table.schema.names, "DELTA_BINARY_PACKED")
            few = [name for name in ("same", "weight") if rows.pop(name, None)]
            pq.write_table(table, beside, use_dictionary=few, column_encoding=rows)
