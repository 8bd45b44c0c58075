"""A gallery for Python programs: enroll and identify examples of any form."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diptych.inference.example_conversion import Example, convert_examples
from diptych.inference.gallery import Gallery
from diptych.schemas.errors import DataError, ModelError

if TYPE_CHECKING:
    from diptych.inference.enroll import EnrollReport
    from diptych.inference.gallery import Candidate
    from diptych.inference.model import Model


class ExampleGallery:
    """Labelled examples that let a model identify classes it was not trained on.

    >>> gallery = diptych.Gallery("people", model)
    >>> gallery.enroll(["a.png", "b.png"], labels=["ann", "bob"]).added
    2
    >>> gallery.identify("asked.png", k=5)[0].label
    'ann'

    Args:
      folder: Folder of the gallery; created if it does not exist.
      model: Model of the gallery, as returned by ``load_model``.

    Raises:
      ModelError: If the folder contains something else, the gallery is damaged, another model
        made it, or ``model`` is not a model.
    """

    def __init__(self, folder: str | Path, model: "Model") -> None:
        from diptych.inference.model import Model

        if not isinstance(model, Model):
            raise ModelError(f"Expected a model as returned by load_model, got {model!r}.")
        self._gallery = Gallery.create_or_open(Path(folder), model.pushed)
        self._model = model

    def __len__(self) -> int:
        return len(self._gallery)

    @property
    def labels(self) -> dict[str, int]:
        """Number of examples of each class."""
        return self._gallery.labels

    def enroll(
        self,
        examples: str | os.PathLike[str] | Iterable[Example],
        labels: str | Sequence[str] | None = None,
    ) -> "EnrollReport":
        """Add labelled examples.

        Args:
          examples: A path of an image, a folder or a table, as ``diptych enroll`` takes it, whose
            labels are the subfolders or the label column; or a list of examples.
          labels: One label for all examples, or a label for each example of a list. A list of
            examples needs labels.

        Raises:
          DataError: If an example cannot be used, or labels are missing.
        """
        from diptych.inference.enroll import EnrollReport, enroll_examples

        pushed = self._model.pushed
        if isinstance(examples, str | os.PathLike):
            if labels is not None and not isinstance(labels, str):
                raise DataError("The examples at a path take one label, got a list of labels.")
            return enroll_examples(self._gallery, pushed, [Path(examples)], labels)
        if labels is None:
            raise DataError("A list of examples needs labels: one for all, or one for each.")
        if isinstance(examples, Iterator):  # is read twice
            examples = list(examples)
        raw = convert_examples(examples, self._model.manifest)
        examples = list(examples)
        labels = [labels] * len(examples) if isinstance(labels, str) else list(labels)
        if len(labels) != len(examples):
            raise DataError(f"Got {len(examples)} examples and {len(labels)} labels.")
        for label in labels:
            if not isinstance(label, str):
                raise DataError(f"A label is a string, got {label!r}.")
        sources = [_describe_source(each, number) for number, each in enumerate(examples)]
        result = self._gallery.enroll(labels, pushed.embed(raw), sources, raw)
        contradictions = list(result.contradictions)
        return EnrollReport(result.added, result.known, contradictions=contradictions)

    def identify(self, example: Example, k: int = 5) -> "list[Candidate]":
        """Find the k nearest classes of an example, the nearest first.

        The class of the example is unknown if the first candidate is not ``same``.

        Args:
          example: An example, as for ``Model.embed``.
          k: Number of classes.

        Raises:
          DataError: If the example is not of a kind that the model accepts, or cannot be used, or
            if k is not positive.
        """
        if not isinstance(k, int | np.integer) or k < 1:
            raise DataError(f"k is a number of classes, at least 1, got {k!r}.")
        return self._gallery.identify(self._model.embed([example]), k)[0]

    def remove(self, label: str) -> int:
        """Remove a class; return the number of its examples.

        Raises:
          DataError: If the gallery has no such class.
        """
        return self._gallery.remove(label)


def _describe_source(example: Example, number: int) -> str:
    if isinstance(example, str | os.PathLike):
        return os.path.abspath(example)
    return f"{type(example).__name__} {number}"
