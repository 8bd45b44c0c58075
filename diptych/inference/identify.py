"""Identify examples: find the nearest classes of a gallery."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diptych.inference.gallery import Candidate, Gallery
    from diptych.inference.pushed_model import PushedModel


@dataclasses.dataclass(frozen=True)
class Identification:
    """An example and its nearest classes, nearest first; ``label`` is None for an unknown class."""

    source: str
    label: str | None
    candidates: tuple["Candidate", ...]

    def to_row(self) -> dict[str, Any]:
        """Convert to a row of the table of ``write_identifications``."""
        return {
            "source": self.source,
            "label": self.label,
            "nearest_labels": [candidate.label for candidate in self.candidates],
            "nearest_distances": [candidate.distance for candidate in self.candidates],
            "nearest_sources": [candidate.source for candidate in self.candidates],
        }


def is_single_example(path: Path) -> bool:
    """Return True if a path names one example: an image, or a row of a table."""
    from diptych.components.common.data_files import has_table_extension

    is_table = os.path.isfile(path) and has_table_extension(path.name.lower())
    return not os.path.isdir(path) and not is_table


def identify_examples(
    gallery: "Gallery",
    model: "PushedModel",
    path: Path,
    k: int,
    rejected: list[tuple[str, str]],
) -> Iterator[list[Identification]]:
    """Find the k nearest classes of all examples at a path, batch by batch.

    Args:
      gallery: The gallery with the classes.
      model: The model of the gallery.
      path: Path as accepted by ``read_examples``.
      k: Number of classes.
      rejected: Sources and reasons of unusable examples are appended to this list.

    Raises:
      DataError: If there is nothing at the path.
    """
    from diptych.inference.raw_examples import read_examples

    for batch in read_examples(path, model.manifest):
        rejected += batch.rejected
        candidates_of_batch = gallery.identify(model.embed(batch.values), k)
        yield [
            Identification(source, _accepted_label(candidates), tuple(candidates))
            for source, candidates in zip(batch.sources, candidates_of_batch, strict=True)
        ]


def write_identifications(batches: Iterator[list[Identification]], out: Path) -> int:
    """Write all identifications to a Parquet file, atomically.

    Returns:
      The number of rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from diptych.schemas.files import atomic_write

    schema = pa.schema(
        [
            ("source", pa.string()),
            ("label", pa.string()),
            ("nearest_labels", pa.list_(pa.string())),
            ("nearest_distances", pa.list_(pa.float32())),
            ("nearest_sources", pa.list_(pa.string())),
        ]
    )
    num_rows = 0
    with atomic_write(out) as tmp_path, pq.ParquetWriter(tmp_path, schema) as writer:
        for batch in batches:
            rows = [identification.to_row() for identification in batch]
            writer.write_table(pa.Table.from_pylist(rows, schema))
            num_rows += len(batch)
    return num_rows


def _accepted_label(candidates: list["Candidate"]) -> str | None:
    return candidates[0].label if candidates and candidates[0].same else None
