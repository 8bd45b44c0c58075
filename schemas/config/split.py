"""The section ``split``: the shares of the splits."""

from typing import Literal

import pydantic
from pydantic import NonNegativeInt

from diptych.schemas.config.section import Section, Share


class Split(Section):
    """Shares of the splits. An example's split is a hash of its key, so it never moves."""

    by: Literal["example", "class", "group"] = "example"
    train: Share = 0.6
    calibration: Share = 0.2
    test: Share = 0.2
    seed: NonNegativeInt = 0

    @pydantic.model_validator(mode="after")
    def _shares(self) -> "Split":
        shares = (self.train, self.calibration, self.test)
        if abs(sum(shares) - 1) > 1e-6 or min(shares) <= 0:
            raise ValueError(f"shares must be above 0 and sum to 1, got {shares}")
        return self
