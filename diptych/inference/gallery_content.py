"""What a gallery holds, read into memory."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diptych.inference.gallery_changes import read_examples
from diptych.inference.gallery_files import (
    Catalog,
    Part,
    examples_schema,
    floats_to_numpy,
)
from diptych.inference.nearest_classes import Measure, NearestClasses
from diptych.schemas.errors import DataError

_MAX_NUMBER = 1e15  # its square, times any size of embedding, is far from the end of float32


class Content:
    """What a catalog lists, read; never changed, so that threads may share it.

    What takes longer is made when it is first asked for: one more example needs none of it.
    """

    def __init__(self, catalog: Catalog, tables: dict[Part, pa.Table], measure: Measure) -> None:
        self.catalog = catalog
        self.tables = tables
        empty = examples_schema(catalog.embedder.embedding_size).empty_table()
        self._table = pa.concat_tables([empty, *tables.values()])
        self._measure = measure

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._table)

    @functools.cached_property
    def labels(self) -> list[str]:
        """Of all classes, sorted; their places here are the numbers of the classes."""
        return sorted(self._table["label"].unique().to_pylist())

    @functools.cached_property
    def classes(self) -> np.ndarray:
        """(n,) numbers of the classes of the examples."""
        order = pa.array(self.labels, pa.large_string())
        classes: np.ndarray = pc.index_in(self._table["label"], value_set=order).to_numpy()
        return classes

    @functools.cached_property
    def nearest(self) -> NearestClasses:
        """The search."""
        embedder = self.catalog.embedder
        embeddings = usable(floats_to_numpy(self._table["embedding"], embedder.embedding_size))
        return NearestClasses(embeddings, self.classes, embedder.distance, self._measure)

    def source(self, row: int) -> str:
        """Where an example came from."""
        source: str = self._table["source"][row].as_py()
        return source

    def labels_of(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """Labels of those that are there, by digest."""
        wanted = pa.array(digests, pa.binary(32))
        found = self._table.select(["digest", "label"]).filter(
            pc.is_in(self._table["digest"], value_set=wanted)
        )
        pairs = zip(found["digest"].to_pylist(), found["label"].to_pylist(), strict=True)
        return dict(pairs)


def content_digest(raw: np.ndarray | bytes) -> bytes:
    """SHA-256 of an encoded image, or of a vector's float32 numbers."""
    content = raw if isinstance(raw, bytes) else np.ascontiguousarray(raw, "<f4").tobytes()
    return hashlib.sha256(content).digest()


def load(folder: Path, catalog: Catalog, measure: Measure, before: Content | None) -> Content:
    """Reads those parts that are not in memory yet."""
    there = before.tables if before is not None else {}
    tables = {
        part: there[part] if part in there else read_examples(folder, catalog, part)
        for part in catalog.parts
    }
    return Content(catalog, tables, measure)


def usable(embeddings: np.ndarray) -> np.ndarray:
    """Gives back embeddings that can be compared.

    Raises:
      DataError: one has a number that cannot.
    """
    if not np.all(np.abs(embeddings) < _MAX_NUMBER):  # nor is NaN
        raise DataError(
            "An embedding has a number that is infinite, not a number, or above 1e15. Look at the "
            "example that it was made of, and at the model."
        )
    return embeddings
