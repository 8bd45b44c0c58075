"""Which of a gallery's classes examples are."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diptych.inference.gallery import Candidate, Gallery
    from diptych.inference.pushed_model import PushedModel


@dataclasses.dataclass(frozen=True)
class Identified:
    """An example and its nearest classes, the nearest first; ``label`` is None if it is unknown."""

    source: str
    label: str | None
    candidates: tuple["Candidate", ...]

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        return {
            "source": self.source,
            "label": self.label,
            "nearest_labels": [candidate.label for candidate in self.candidates],
            "nearest_distances": [candidate.distance for candidate in self.candidates],
            "nearest_sources": [candidate.source for candidate in self.candidates],
        }


def is_one(path: Path) -> bool:
    """Whether a path names a single example: an image, or a row of a table."""
    from diptych.components.common.data_files import is_table

    return not os.path.isdir(path) and not (os.path.isfile(path) and is_table(path.name.lower()))


def identify(
    gallery: "Gallery",
    model: "PushedModel",
    path: Path,
    k: int,
    rejected: list[tuple[str, str]],
) -> Iterator[list[Identified]]:
    """Finds the nearest classes of all examples at a path, some at a time.

    Args:
      gallery: with the classes.
      model: of the gallery.
      path: as ``read_examples`` takes it.
      k: number of classes.
      rejected: takes in the sources of those that cannot be used, and the reasons.

    Raises:
      DataError: there is nothing at the path.
    """
    from diptych.inference.raw_examples import read_examples

    for batch in read_examples(path, model.manifest):
        rejected += batch.rejected
        found = gallery.identify(model.embed(batch.values), k)
        yield [
            Identified(source, _label(candidates), tuple(candidates))
            for source, candidates in zip(batch.sources, found, strict=True)
        ]


def write_table(blocks: Iterator[list[Identified]], out: Path) -> int:
    """Writes all to a Parquet file, which is there whole or not at all.

    Returns:
      The number of rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from diptych.schemas.files import whole_file

    schema = pa.schema(
        [
            ("source", pa.string()),
            ("label", pa.string()),
            ("nearest_labels", pa.list_(pa.string())),
            ("nearest_distances", pa.list_(pa.float32())),
            ("nearest_sources", pa.list_(pa.string())),
        ]
    )
    rows = 0
    with whole_file(out) as beside, pq.ParquetWriter(beside, schema) as writer:
        for block in blocks:
            writer.write_table(pa.Table.from_pylist([one.row() for one in block], schema))
            rows += len(block)
    return rows


def _label(candidates: list["Candidate"]) -> str | None:
    return candidates[0].label if candidates and candidates[0].same else None
