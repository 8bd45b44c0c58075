"""Section ``pairs`` of the configuration."""

from fractions import Fraction
from typing import Annotated, Literal

import pydantic
from pydantic import Field, NonNegativeInt, PositiveInt

from diptych.schemas.config.section import Section

Sampling = Literal["oversample", "undersample", "natural", "inverse_frequency"]


class PairsConfig(Section):
    """Batches of P classes with K examples each, and the pairs drawn within a batch."""

    classes_per_batch: Annotated[int, Field(ge=2)] = Field(
        default=8, description="Number of classes P in a batch."
    )
    examples_per_class: Annotated[int, Field(ge=2)] = Field(
        default=4, description="Number of examples K of each class in a batch."
    )
    ratio: str = Field(
        default="1:1",
        description="Ratio positive:negative of the pairs, exact in every batch. Given pairs keep "
        "their own ratio with the samplings `natural` and `inverse_frequency`.",
    )
    sampling: Sampling = Field(
        default="oversample",
        description="Treatment of unequal classes: oversample, undersample, natural or "
        "inverse_frequency. `oversample` uses every class as often as the largest, `undersample` "
        "as often as the smallest, `natural` uses every example once, and `inverse_frequency` "
        "also weights the pairs so that all classes have the same total weight.",
    )
    max_repeats: PositiveInt = Field(
        default=10,
        description="With oversample: most passes over a class in a round. Pair weights correct "
        "the imbalance that remains.",
    )
    rounds: PositiveInt = Field(
        default=2, description="Passes over the training split in an epoch, each with new pairs."
    )
    evaluation_sampling: Sampling = Field(
        default="natural", description="Sampling of the calibration and test splits."
    )
    evaluation_rounds: PositiveInt = Field(
        default=4, description="Rounds of the calibration and test splits."
    )
    negatives: Literal["random", "similar_classes"] = Field(
        default="random",
        description="Source of negative pairs in training: random, or similar_classes for harder "
        "ones. With `similar_classes`, classes whose embeddings by the model in production are "
        "close share every other batch. The other batches stay random, so that distant classes "
        "meet too.",
    )
    num_shards: PositiveInt = Field(
        default=8,
        description="Number of files per split, a multiple of train.num_workers. It is multiplied "
        "if a shard would be too large for a worker.",
    )
    seed: NonNegativeInt = Field(
        default=0, description="Seed of batches and pairs; another seed draws other pairs."
    )

    @pydantic.field_validator("ratio", mode="before")
    @classmethod
    def _normalize_ratio(cls, value: object) -> str:
        parts = value.split(":") if isinstance(value, str) else []
        if len(parts) != 2 or not all(part.strip().isdecimal() and int(part) for part in parts):
            raise ValueError(
                "expected two positive integers, positive:negative, such as 1:1 or 1:3"
            )
        return ":".join(parts)

    @property
    def negatives_per_positive(self) -> Fraction:
        """Number of negative pairs per positive pair."""
        positive, negative = self.ratio.split(":")
        return Fraction(int(negative), int(positive))
