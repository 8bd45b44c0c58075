"""Custom properties of the ModelBlessing artifact that the Evaluator adds to those of TFX.

The Pusher copies them into the manifest of the pushed model. Each is stored as JSON text.
"""

import json
from typing import Any

import pydantic
from pydantic import Field

from diptych.schemas.json_model import JsonModel


class BlessingDetails(JsonModel):
    """Metrics of a blessed model, and the data that it was trained and evaluated on.

    Attributes:
      metrics: Main metrics, such as ``accuracy`` and ``roc_auc``.
      data: Artifact, spans, fingerprint and number of examples per split.
    """

    metrics: dict[str, float] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)

    def to_properties(self) -> dict[str, str]:
        """Return the custom properties."""
        return {name: json.dumps(value) for name, value in self.model_dump().items()}

    @classmethod
    def from_properties(cls, properties: dict[str, str]) -> "BlessingDetails":
        """Parse the custom properties; the blessing of another evaluator has none of them.

        Raises:
          ValueError: If a property is not JSON, or has an unexpected format.
        """
        present = {name: properties[name] for name in cls.model_fields if properties.get(name)}
        try:
            return cls(**{name: json.loads(text) for name, text in present.items()})
        except pydantic.ValidationError as error:
            raise ValueError(
                f"The custom properties of the blessing have an unexpected format: {error}. "
                "Evaluate the model again."
            ) from error
