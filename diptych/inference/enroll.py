"""Adds labelled examples to a gallery, as many as there are."""

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

# What goes into the gallery in one change. A process that is killed loses no more than that.
_EXAMPLES_AT_ONCE, _BYTES_AT_ONCE = 16_384, 64 << 20


@dataclasses.dataclass
class Report:
    """What became of the examples; ``rejected`` are sources and reasons."""

    added: int = 0
    known: int = 0
    rejected: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    contradictions: list["Contradiction"] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Waiting:
    """Examples for the next change."""

    labels: list[str] = dataclasses.field(default_factory=list)
    sources: list[str] = dataclasses.field(default_factory=list)
    values: list[np.ndarray] = dataclasses.field(default_factory=list)
    size: int = 0

    @property
    def are_enough(self) -> bool:
        return len(self.labels) >= _EXAMPLES_AT_ONCE or self.size >= _BYTES_AT_ONCE


def enroll(
    gallery: "Gallery",
    model: "PushedModel",
    paths: Sequence[Path],
    label: str | None,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Adds all examples at some paths.

    Args:
      gallery: to add to.
      model: of the gallery.
      paths: as ``read_examples`` takes them.
      label: of all; None takes those of the data.
      progress: is given the number of examples that are done, block by block.

    Raises:
      DataError: there is nothing at a path, or its examples have no labels and none is given.
    """
    report, waiting = Report(), _Waiting()
    for path in paths:
        for batch, source in _read(path, model):
            report.rejected += batch.rejected
            labels = batch.labels if label is None else (label,) * len(batch.sources)
            if labels is None:
                raise DataError(
                    f"{path} has no labels. Say --label NAME, or name a folder with a folder for "
                    "each class, or a table with the label column."
                )
            good = [row for row, one in enumerate(labels) if one]
            report.rejected += [
                (batch.sources[row], "has no label") for row, one in enumerate(labels) if not one
            ]
            waiting.labels += [labels[row] for row in good]
            waiting.sources += [source(batch.sources[row]) for row in good]
            waiting.values.append(batch.values[good])
            waiting.size += _bytes_of(batch.values)
            if waiting.are_enough:
                _add(gallery, model, waiting, report)
                waiting = _Waiting()
            progress(len(batch.sources))
    _add(gallery, model, waiting, report)
    return report


def _read(path: Path, model: "PushedModel") -> Iterator[tuple["RawBatch", Callable[[str], str]]]:
    """The examples, and what makes of the name of one there its absolute path."""
    from diptych.components.common.data_files import printable
    from diptych.inference.raw_examples import read_examples

    folder = printable(str((path if path.is_dir() else path.parent).resolve()))

    def source(name: str) -> str:
        return f"{folder}/{name}"

    for batch in read_examples(path, model.manifest):
        yield batch, source


def _add(gallery: "Gallery", model: "PushedModel", waiting: _Waiting, report: Report) -> None:
    if not waiting.labels:
        return
    raw = np.concatenate(waiting.values)
    done = gallery.enroll(waiting.labels, model.embed(raw), waiting.sources, raw)
    report.added += done.added
    report.known += done.known
    report.contradictions += done.contradictions


def _bytes_of(values: np.ndarray) -> int:
    return sum(map(len, values)) if values.dtype == object else values.nbytes
