"""Section ``split`` of the configuration."""

from typing import Literal

import pydantic
from pydantic import Field, NonNegativeInt

from diptych.schemas.config.section import Proportion, Section


class SplitConfig(Section):
    """Splits of the data. The split of an example is a hash of its key, so it never moves.

    With ``by: given``, the data state the splits. The fractions then only divide the training data
    into training and calibration, if the data have no third split.
    """

    by: Literal["example", "class", "group", "given", "connected", "time"] = Field(
        default="example",
        description="What the data are divided by: example, class (evaluates on classes not seen "
        "in training), group, time (tests on the newest data), connected (keeps given pairs that "
        "share an example together), or given (the splits of the data). With `class`, the "
        "threshold is calibrated on a third set of classes. `group` requires `data.group`, or the "
        "level group in `data.levels`. `time` requires `data.time` or data in spans. `connected` "
        "follows shared examples through other pairs too. `given` requires `data.split`, or the "
        "level split in `data.levels`.",
    )
    duplicates: Literal["together", "separate"] = Field(
        default="together",
        description="Duplicates of an example: together in one split, or separate, as their own "
        "keys assign them. With `by: class`, `group`, `given` and `time`, they are only counted.",
    )
    train: Proportion = Field(default=0.6, description="Fraction for training.")
    calibration: Proportion = Field(
        default=0.2, description="Fraction for early stopping and for choosing the threshold."
    )
    test: Proportion = Field(default=0.2, description="Fraction for the reported metrics.")
    seed: NonNegativeInt = Field(
        default=0, description="Seed of the hash; different seeds give different splits."
    )

    @pydantic.model_validator(mode="after")
    def _check_sum(self) -> "SplitConfig":
        fractions = (self.train, self.calibration, self.test)
        if abs(sum(fractions) - 1) > 1e-6 or min(fractions) <= 0:
            raise ValueError(f"fractions must be above 0 and sum to 1, got {fractions}")
        return self
