"""The section ``pairs``: how batches are laid out and pairs drawn."""

from fractions import Fraction
from typing import Annotated, Literal

import pydantic
from pydantic import Field, NonNegativeInt, PositiveInt

from diptych.schemas.config.section import Section

Policy = Literal["oversample", "undersample", "natural", "inverse_frequency"]


class Pairs(Section):
    """How batches of P classes with K examples each are laid out, and pairs drawn in them."""

    classes_per_batch: Annotated[int, Field(ge=2)] = 8  # P
    examples_per_class: Annotated[int, Field(ge=2)] = 4  # K
    ratio: str = "1:1"  # same:different, exact in every batch
    policy: Policy = "oversample"
    max_repeats: PositiveInt = 10  # passes over a class in a round, under oversample
    rounds: PositiveInt = 2  # each with its own pairs
    evaluation_policy: Policy = "natural"  # of the calibration and test splits
    evaluation_rounds: PositiveInt = 4
    # confusable: in every other layer of the training split, classes that lie close in the
    # embedding of the model in production share batches
    difficulty: Literal["random", "confusable"] = "random"
    num_shards: PositiveInt = 8  # or a multiple, where shards would be too large for a worker
    seed: NonNegativeInt = 0

    @pydantic.field_validator("ratio", mode="before")
    @classmethod
    def _ratio(cls, value: object) -> str:
        parts = value.split(":") if isinstance(value, str) else []
        if len(parts) != 2 or not all(part.strip().isdecimal() and int(part) for part in parts):
            raise ValueError("needs two whole numbers above 0, same:different, such as 1:1 or 1:3")
        return ":".join(parts)

    @property
    def different_per_same(self) -> Fraction:
        """Different pairs for each same pair."""
        same, different = self.ratio.split(":")
        return Fraction(int(different), int(same))
