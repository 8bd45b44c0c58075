"""Where the classes of the training split lie in the embedding of a model: one file.

``centroids.parquet`` has a row a class, ordered by label; none where there was no model to embed
with. Coordinates are whole numbers, so that all that follows from them is the same everywhere.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.schemas.files import whole_file

FILE = "centroids.parquet"
UNIT = 2.0**-16  # of a coordinate, in the unit of the embedding


def centroids_schema(size: int) -> pa.Schema:
    """Columns for embeddings of ``size`` numbers; ``examples`` are those in the mean."""
    return pa.schema(
        [
            ("label", pa.binary()),
            ("examples", pa.int64()),
            ("centroid", pa.list_(pa.int32(), size)),
        ]
    )


def write_centroids(folder: Path, table: pa.Table) -> None:
    """Writes the file, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / FILE) as beside:
        pq.write_table(table, beside)


def read_centroids(folder: Path) -> tuple[list[bytes], np.ndarray]:
    """The labels of n classes, and their centroids, (n, size) int32 in ``UNIT``."""
    table = pq.read_table(folder / FILE).combine_chunks()
    values = table["centroid"].combine_chunks().flatten().to_numpy()
    size = table.schema.field("centroid").type.list_size
    return table["label"].to_pylist(), values.reshape(-1, size)


def count_centroids(folder: Path) -> int:
    """Number of classes in the file."""
    return int(pq.read_metadata(folder / FILE).num_rows)
