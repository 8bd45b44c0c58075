"""A pushed model, checked against its manifest before anything of it is loaded."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diptych.schemas.errors import ModelError
from diptych.schemas.input_spec import Inputs
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.versions import newest

if TYPE_CHECKING:
    from diptych.components.common.exported_model import ExportedModel

_EXAMPLES_AT_ONCE = 256


class PushedModel:
    """One version of a pushed model.

    Args:
      path: of the version, or a folder of versions, of which the newest is taken.

    Raises:
      ModelError: there is no model, or its folder is not as it was pushed.
    """

    def __init__(self, path: Path) -> None:
        folder = newest(path)
        if folder is None:
            what = "has no model in it" if path.exists() else "is not there"
            raise ModelError(
                f"Needed is a pushed model or a folder of its versions, such as demo/serving, and "
                f"{path} {what}. Correct the path, or run the pipeline until a model is blessed."
            )
        self.folder = folder
        self.manifest = ModelManifest.read(folder)
        self.manifest.check(folder)
        self._exported: ExportedModel | None = None

    @property
    def inputs(self) -> Inputs:
        """What a raw example holds."""
        return self.manifest.inputs

    @property
    def threshold(self) -> float:
        """The calibrated one: ``distance <= threshold`` means same."""
        return self.manifest.threshold

    @property
    def version(self) -> int:
        """Its number."""
        return self.manifest.version

    def embed(self, raw: np.ndarray) -> np.ndarray:
        """(n,) encoded images or (n, d) vectors to (n, size) float32 embeddings.

        The raw examples must have been checked, see ``raw``: the graph decodes what it is given.
        """
        parts = [
            self._model.embed(raw[start : start + _EXAMPLES_AT_ONCE])
            for start in range(0, len(raw), _EXAMPLES_AT_ONCE)
        ]
        return np.concatenate([np.empty((0, self.manifest.embedding_size), np.float32), *parts])

    def distance(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(m,) distances of (m, size) embeddings row by row; lower is more alike."""
        return self._model.distance(left, right)

    @property
    def _model(self) -> "ExportedModel":
        if self._exported is None:
            from diptych.components.common.exported_model import ExportedModel  # loads TensorFlow

            self._exported = ExportedModel(self.folder)
        return self._exported
