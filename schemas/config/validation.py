"""Section ``validation`` of the configuration."""

from typing import Literal

from pydantic import Field

from diptych.schemas.config.section import Proportion, Section


class ValidationConfig(Section):
    """Checks of TensorFlow Data Validation, and their consequences."""

    anomalies: Literal["stop", "warn"] = Field(
        default="stop", description="Reaction to data that violate the schema: stop or warn."
    )
    schema_file: str | None = Field(
        default=None,
        description="Schema to import, a `schema.pbtxt` of TensorFlow Metadata. null: infer the "
        "schema from the data.",
    )
    # New classes every night are normal, so the default only warns. With 50 examples per span,
    # chance alone gives up to 0.16.
    drift: Literal["stop", "warn", "off"] = Field(
        default="warn",
        description="Reaction to drift of the newest span: stop, warn or off. The newest span is "
        "compared with the span before it and with the rest of the window.",
    )
    max_label_drift: Proportion = Field(
        default=0.3,
        description="Largest allowed change of the relative frequency of a label (L-infinity "
        "distance).",
    )
    max_value_drift: Proportion = Field(
        default=0.3,
        description="Largest allowed Jensen-Shannon divergence of a numeric feature.",
    )
