"""Enroll labelled examples into a gallery, in chunks."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diptych.schemas.errors import DataError

if TYPE_CHECKING:
    from diptych.inference.gallery import Contradiction, Gallery
    from diptych.inference.pushed_model import PushedModel
    from diptych.inference.raw_batch import RawBatch

# Size of one change of the gallery. A killed process loses at most one change.
_CHUNK_EXAMPLES, _CHUNK_BYTES = 16_384, 64 << 20


@dataclasses.dataclass
class EnrollReport:
    """Numbers of added and known examples; ``rejected`` holds sources and reasons."""

    added: int = 0
    known: int = 0
    rejected: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    contradictions: list["Contradiction"] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Chunk:
    """Examples of the next change."""

    labels: list[str] = dataclasses.field(default_factory=list)
    sources: list[str] = dataclasses.field(default_factory=list)
    values: list[np.ndarray] = dataclasses.field(default_factory=list)
    num_bytes: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.labels) >= _CHUNK_EXAMPLES or self.num_bytes >= _CHUNK_BYTES


def enroll_examples(
    gallery: "Gallery",
    model: "PushedModel",
    paths: Sequence[Path],
    label: str | None,
    on_batch: Callable[[int], None] = lambda num_examples: None,
) -> EnrollReport:
    """Add all examples at the given paths.

    Args:
      gallery: The gallery to add to.
      model: The model of the gallery.
      paths: Paths as accepted by ``read_examples``.
      label: Label of all examples; None uses the labels of the data.
      on_batch: Called with the number of examples after each batch.

    Raises:
      DataError: If there is nothing at a path, or its examples have no labels and ``label`` is
        None.
    """
    report, chunk = EnrollReport(), _Chunk()
    for path in paths:
        for batch, absolute_source in _read_with_absolute_sources(path, model):
            report.rejected += batch.rejected
            labels = batch.labels if label is None else (label,) * len(batch.sources)
            if labels is None:
                raise DataError(
                    f"{path} has no labels. Pass --label NAME, a folder with one subfolder per "
                    "class, or a table with the label column."
                )
            labelled = [row for row, row_label in enumerate(labels) if row_label]
            report.rejected += [
                (batch.sources[row], "has no label")
                for row, row_label in enumerate(labels)
                if not row_label
            ]
            chunk.labels += [labels[row] for row in labelled]
            chunk.sources += [absolute_source(batch.sources[row]) for row in labelled]
            chunk.values.append(batch.values[labelled])
            chunk.num_bytes += _count_bytes(batch.values)
            if chunk.is_full:
                _enroll_chunk(gallery, model, chunk, report)
                chunk = _Chunk()
            on_batch(len(batch.sources))
    _enroll_chunk(gallery, model, chunk, report)
    return report


def _read_with_absolute_sources(
    path: Path, model: "PushedModel"
) -> Iterator[tuple["RawBatch", Callable[[str], str]]]:
    """Read batches, each with a function that makes a source of the batch absolute."""
    from diptych.components.common.data_files import to_printable
    from diptych.inference.raw_examples import read_examples

    folder = to_printable(str((path if path.is_dir() else path.parent).resolve()))

    def absolute_source(name: str) -> str:
        return f"{folder}/{name}"

    for batch in read_examples(path, model.manifest):
        yield batch, absolute_source


def _enroll_chunk(
    gallery: "Gallery", model: "PushedModel", chunk: _Chunk, report: EnrollReport
) -> None:
    if not chunk.labels:
        return
    raw = np.concatenate(chunk.values)
    result = gallery.enroll(chunk.labels, model.embed(raw), chunk.sources, raw)
    report.added += result.added
    report.known += result.known
    report.contradictions += result.contradictions


def _count_bytes(values: np.ndarray) -> int:
    return sum(map(len, values)) if values.dtype == object else values.nbytes
