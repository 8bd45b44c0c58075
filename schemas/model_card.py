"""The model card: ``assets.extra/diptych.json`` in an exported model.

It describes the inputs, the distance and the threshold of a model to programs that do not load
TensorFlow. The Trainer writes it next to the SavedModel; the Pusher copies it with the model.
"""

from pathlib import Path

import pydantic

from diptych.schemas.config.model import Distance
from diptych.schemas.errors import ModelError
from diptych.schemas.input_spec import EmbeddingSize, InputSpec, ModelInputs
from diptych.schemas.json_model import Float32, JsonModel, write_json

_CARD_PATH = Path("assets.extra", "diptych.json")
# A card lists the input columns and one weight per embedding dimension: some kilobytes.
_MAX_CARD_BYTES = 1_000_000


class ModelCard(JsonModel):
    """Inputs, distance and threshold of an exported model.

    Attributes:
      inputs: Raw examples that the model accepts.
      embedding_size: Number of dimensions of an embedding.
      distance: Name of the distance, as in ``model.distance``.
      distance_weights: (embedding_size,) weights of a learned distance; None for the others.
      lowest: Lower bound of the distance.
      highest: Upper bound of the distance for any embeddings; None if unbounded.
      threshold: Two inputs are the same if ``distance <= threshold``.
      image_formats: Formats of images that the graph decodes; the commands, the Python API and the
        service convert other formats. Empty for vectors.
    """

    inputs: ModelInputs
    embedding_size: EmbeddingSize
    distance: Distance
    distance_weights: tuple[Float32, ...] | None = None
    lowest: Float32
    highest: Float32 | None
    threshold: Float32
    image_formats: tuple[str, ...] = ()

    def accepts_inputs(self, inputs: InputSpec) -> bool:
        """Check whether the model accepts such raw examples.

        Images of any size are accepted, because the model resizes them itself.
        """
        return self.inputs.kind == inputs.kind and self.inputs.columns == inputs.columns

    def write(self, folder: Path) -> None:
        """Write the card into the folder of an exported model."""
        path = folder / _CARD_PATH
        path.parent.mkdir(exist_ok=True)
        write_json(self, path)

    @classmethod
    def read(cls, folder: Path) -> "ModelCard":
        """Read the card from the folder of an exported or pushed model.

        Raises:
          ModelError: If the card is missing, larger than 1 MB, or does not have this format.
        """
        path = folder / _CARD_PATH
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_CARD_BYTES + 1)
        except OSError as error:
            raise ModelError(
                f"{folder} is not a Diptych model: {path} cannot be read ({error.strerror}). "
                "Expected the folder of a model that `diptych run` exported or pushed."
            ) from error
        if len(content) > _MAX_CARD_BYTES:
            raise ModelError(
                f"The model card {path} is larger than {_MAX_CARD_BYTES} bytes, so it was not "
                "written by Diptych. Restore the file, or push the model again."
            )
        try:
            return cls.model_validate_json(content)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "the file"
            raise ModelError(
                f"The model card {path} is damaged, or was written by another version of Diptych: "
                f"{key}: {first['msg']} ({error.error_count()} invalid values). "
                "Push the model again."
            ) from error
