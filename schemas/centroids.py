"""Class centroids: the mean embedding of each training class, in ``centroids.parquet``.

The file has one row per class, ordered by label, and no rows if no model is in production.
Coordinates are integers, so everything computed from them is identical on all machines.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.schemas.files import atomic_write

CENTROIDS_FILE = "centroids.parquet"
CENTROID_UNIT = 2.0**-16  # one coordinate step, in the unit of the embedding


def centroids_schema(embedding_size: int) -> pa.Schema:
    """Return the Arrow schema; ``examples`` is the number of embeddings in the mean."""
    return pa.schema(
        [
            ("label", pa.binary()),
            ("examples", pa.int64()),
            ("centroid", pa.list_(pa.int32(), embedding_size)),
        ]
    )


def write_centroids(folder: Path, table: pa.Table) -> None:
    """Write the file atomically into the folder of the artifact."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / CENTROIDS_FILE) as tmp_path:
        pq.write_table(table, tmp_path)


def read_centroids(folder: Path) -> tuple[list[bytes], np.ndarray]:
    """Read the labels of n classes and their centroids, (n, embedding_size) int32.

    Multiply the coordinates by ``CENTROID_UNIT`` for the unit of the embedding.
    """
    table = pq.read_table(folder / CENTROIDS_FILE).combine_chunks()
    values = table["centroid"].combine_chunks().flatten().to_numpy()
    embedding_size = table.schema.field("centroid").type.list_size
    return table["label"].to_pylist(), values.reshape(-1, embedding_size)


def count_centroids(folder: Path) -> int:
    """Count the classes in the file."""
    return int(pq.read_metadata(folder / CENTROIDS_FILE).num_rows)
