"""A pushed model, verified against its manifest and loaded on first use."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diptych.schemas.errors import ModelError
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.versions import newest_version

if TYPE_CHECKING:
    from diptych.components.common.exported_model import ExportedModel

_BATCH_SIZE = 256


class PushedModel:
    """A verified version of a pushed model.

    The files are compared with the manifest at once; the SavedModel, and with it TensorFlow, is
    loaded by the first call of ``embed`` or ``distance``.

    Args:
      path: Folder of a version, or folder of versions, of which the newest is used.

    Attributes:
      folder: Folder of the version.
      manifest: Its manifest: input spec, embedding size, threshold.

    Raises:
      ModelError: If there is no model, or it differs from its manifest.
    """

    def __init__(self, path: Path) -> None:
        folder = newest_version(path)
        if folder is None:
            problem = "contains no model" if path.exists() else "does not exist"
            raise ModelError(
                f"{path} {problem}. Pass the folder of a pushed model or of its versions, such as "
                "demo/serving, or run the pipeline until a model is blessed."
            )
        self.folder = folder
        self.manifest = ModelManifest.read(folder)
        self.manifest.verify(folder)
        self._exported: ExportedModel | None = None

    def embed(self, raw: np.ndarray) -> np.ndarray:
        """Compute embeddings (n, size) float32 of (n,) encoded images or (n, d) vectors.

        Images in formats that the graph does not decode are converted. The examples must have been
        checked (see ``read_examples``).
        """
        model = self._load()
        batches = [
            model.embed(self._to_graph_inputs(raw[start : start + _BATCH_SIZE]))
            for start in range(0, len(raw), _BATCH_SIZE)
        ]
        return np.concatenate([np.empty((0, self.manifest.embedding_size), np.float32), *batches])

    def distance(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Compute the distances (m,) between the rows of two (m, size) arrays of embeddings.

        Lower means more similar.
        """
        return self._load().distance(left, right)

    def _to_graph_inputs(self, raw: np.ndarray) -> np.ndarray:
        if self.manifest.inputs.kind != "image":
            return raw
        from diptych.components.common.images import to_graph_format

        converted = np.empty(len(raw), object)
        converted[:] = [to_graph_format(image) for image in raw]
        return converted

    def _load(self) -> "ExportedModel":
        if self._exported is None:
            from diptych.components.common.exported_model import ExportedModel  # loads TensorFlow

            self._exported = ExportedModel(self.folder)
        return self._exported
