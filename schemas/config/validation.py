"""The section ``validation``: which findings of the data validation stop a run."""

from typing import Literal

from diptych.schemas.config.section import Section, Share


class Validation(Section):
    """What TensorFlow Data Validation finds stops the run, or only warns."""

    anomalies: Literal["stop", "warn"] = "stop"
    schema_file: str | None = None  # a schema.pbtxt to import; None: inferred from the data
    # Of the newest span from the one before it, and from the rest of the window. New classes every
    # night are no fault, so it only warns. Of 50 examples, chance alone gives up to 0.16.
    drift: Literal["stop", "warn", "off"] = "warn"
    max_label_drift: Share = 0.3  # L-infinity: the largest change of the share of a label
    max_value_drift: Share = 0.3  # Jensen-Shannon divergence, of each feature of numbers
