"""A pushed model for Python programs: embed and compare examples of any form."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from diptych.inference.example_conversion import Example, convert_examples
from diptych.inference.pushed_model import PushedModel
from diptych.schemas.manifest import ModelManifest


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Verdict on two examples: ``same`` is ``distance <= threshold``."""

    distance: float
    same: bool
    threshold: float


class Model:
    """One version of a pushed model; see ``diptych.load_model``.

    Args:
      path: Folder of a version, or folder of versions, of which the newest is used.

    Attributes:
      pushed: The pushed model, which takes raw examples.

    Raises:
      ModelError: If there is no model, or its files have changed since it was pushed.
    """

    def __init__(self, path: str | Path) -> None:
        self.pushed = PushedModel(Path(path))

    @property
    def path(self) -> Path:
        """Folder of the version."""
        return self.pushed.folder

    @property
    def manifest(self) -> ModelManifest:
        """Manifest of the version: inputs, metrics, configuration, lineage."""
        return self.pushed.manifest

    @property
    def threshold(self) -> float:
        """Calibrated threshold: a distance of at most this value means the same class."""
        return self.manifest.threshold

    def embed(self, examples: Iterable[Example]) -> np.ndarray:
        """Compute the embeddings of examples.

        >>> model.embed(["a.png", "b.png"]).shape
        (2, 4)

        Args:
          examples: Paths, encoded images, arrays, PIL images or rows; see ``convert_examples``.

        Returns:
          (n, size) float32.

        Raises:
          DataError: If an example is not of a kind that the model accepts, or cannot be used.
        """
        return self.pushed.embed(convert_examples(examples, self.manifest))

    def compare(self, left: Example, right: Example, threshold: float | None = None) -> Comparison:
        """Compare two examples.

        >>> model.compare("a.png", "b.png").same
        False

        Args:
          left: An example, as for ``embed``.
          right: An example, as for ``embed``.
          threshold: Replaces the calibrated threshold.

        Raises:
          DataError: If an example is not of a kind that the model accepts, or cannot be used.
        """
        embeddings = self.embed([left, right])
        (distance,) = self.pushed.distance(embeddings[:1], embeddings[1:])
        threshold = self.threshold if threshold is None else threshold
        same = bool(distance <= np.float32(threshold))  # float32, as in the exported signature
        return Comparison(float(distance), same, threshold)

    def __repr__(self) -> str:
        return f"<Model {self.manifest.name} version {self.manifest.version}>"
