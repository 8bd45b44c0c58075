"""Immutable snapshot of a gallery in memory."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diptych.inference.gallery_changes import read_part_examples
from diptych.inference.gallery_files import (
    GalleryCatalog,
    GalleryPart,
    decode_vectors,
    gallery_examples_schema,
)
from diptych.inference.nearest_classes import DistanceFunction, NearestClasses
from diptych.schemas.errors import DataError

_MAX_ABS_VALUE = 1e15  # its square, times any embedding size, stays far below the float32 maximum


class GallerySnapshot:
    """The examples that a catalog lists, shared by threads without locks.

    Expensive attributes are computed on first use: adding an example needs none of them.

    Args:
      catalog: The catalog.
      tables: Examples of each part.
      distance: Distance function of the model.
    """

    def __init__(
        self,
        catalog: GalleryCatalog,
        tables: dict[GalleryPart, pa.Table],
        distance: DistanceFunction,
    ) -> None:
        self.catalog = catalog
        self.tables = tables
        empty = gallery_examples_schema(catalog.embedder.embedding_size).empty_table()
        self._table = pa.concat_tables([empty, *tables.values()])
        self._distance = distance

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._table)

    @functools.cached_property
    def labels(self) -> list[str]:
        """Sorted labels; the position in this list is the index of the class."""
        return sorted(self._table["label"].unique().to_pylist())

    @functools.cached_property
    def class_indices(self) -> np.ndarray:
        """(n,) class index of each example."""
        value_set = pa.array(self.labels, pa.large_string())
        indices: np.ndarray = pc.index_in(self._table["label"], value_set=value_set).to_numpy()
        return indices

    @functools.cached_property
    def nearest_classes(self) -> NearestClasses:
        """Search index of the embeddings."""
        model = self.catalog.embedder
        embeddings = decode_vectors(self._table["embedding"], model.embedding_size)
        return NearestClasses(
            check_comparable(embeddings), self.class_indices, model.distance, self._distance
        )

    def source_of(self, row: int) -> str:
        """Return the source of an example."""
        source: str = self._table["source"][row].as_py()
        return source

    def labels_by_digest(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """Return the labels of those digests that are in the gallery."""
        value_set = pa.array(digests, pa.binary(32))
        matches = self._table.select(["digest", "label"]).filter(
            pc.is_in(self._table["digest"], value_set=value_set)
        )
        return dict(zip(matches["digest"].to_pylist(), matches["label"].to_pylist(), strict=True))


def compute_example_digest(raw: np.ndarray | bytes) -> bytes:
    """Compute the SHA-256 of an encoded image, or of the float32 values of a vector."""
    content = raw if isinstance(raw, bytes) else np.ascontiguousarray(raw, "<f4").tobytes()
    return hashlib.sha256(content).digest()


def load_snapshot(
    folder: Path,
    catalog: GalleryCatalog,
    distance: DistanceFunction,
    previous: GallerySnapshot | None,
) -> GallerySnapshot:
    """Read a snapshot, reusing the parts of the previous one."""
    cached = previous.tables if previous is not None else {}
    tables = {
        part: cached[part] if part in cached else read_part_examples(folder, catalog, part)
        for part in catalog.parts
    }
    return GallerySnapshot(catalog, tables, distance)


def check_comparable(embeddings: np.ndarray) -> np.ndarray:
    """Return the embeddings unchanged if their distances can be computed.

    Raises:
      DataError: If a value is not finite or too large.
    """
    if not np.all(np.abs(embeddings) < _MAX_ABS_VALUE):  # False for NaN
        raise DataError(
            "An embedding has a value that is infinite, not a number, or above 1e15. Check its "
            "example and the model."
        )
    return embeddings
