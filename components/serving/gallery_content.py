"""What a gallery holds, read into memory."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.serving.gallery_changes import read_examples
from diptych.components.serving.gallery_files import (
    Catalog,
    Part,
    examples_schema,
    floats_to_numpy,
)
from diptych.components.serving.nearest import Measure, NearestClasses
from diptych.schemas.errors import DataError

_MAX_NUMBER = 1e15  # its square, times any size of embedding, is far from the end of float32


class Content:
    """What a catalog lists, read; never changed, so that threads may share it."""

    def __init__(self, catalog: Catalog, tables: dict[Part, pa.Table], measure: Measure) -> None:
        self.catalog = catalog
        self.tables = tables
        empty = examples_schema(catalog.embedder.embedding_size).empty_table()
        table = pa.concat_tables([empty, *tables.values()])
        self.labels: list[str] = sorted(table["label"].unique().to_pylist())
        order = pa.array(self.labels, pa.large_string())
        self.classes: np.ndarray = pc.index_in(table["label"], value_set=order).to_numpy()
        self._digests = table["digest"]
        self._sources = table["source"]
        self._embeddings = table["embedding"]
        self._measure = measure

    @functools.cached_property
    def nearest(self) -> NearestClasses:
        """Made when it is first asked for."""
        embedder = self.catalog.embedder
        embeddings = usable(floats_to_numpy(self._embeddings, embedder.embedding_size))
        return NearestClasses(embeddings, self.classes, embedder.distance, self._measure)

    def source(self, row: int) -> str:
        """Where an example came from."""
        source: str = self._sources[row].as_py()
        return source

    def labels_of(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """Labels of those that are there, by digest."""
        wanted = pa.array(digests, pa.binary(32))
        found = pc.is_in(self._digests, value_set=wanted)
        classes = self.classes[np.asarray(found)]
        there = self._digests.filter(found).to_pylist()
        return dict(zip(there, (self.labels[number] for number in classes), strict=True))


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
