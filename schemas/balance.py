"""How balanced the pairs of a split came out: what PairGen reports beside the shards.

The artifact holds a file ``train.json``, ``calibration.json`` and ``test.json``.
"""

from pathlib import Path

import pydantic

from diptych.schemas.shards import write_json


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Spread(_Model):
    """A number that each class has: the smallest, the middle and the largest."""

    min: int | float
    median: float
    max: int | float


class ClassBalance(_Model):
    """What is said of the classes of a split.

    A same pair counts once for its class, a different pair once for each of its two.
    """

    num_classes: int
    num_singletons: int  # with one example: different pairs only
    num_uncovered: int  # in no pair
    examples: Spread  # of a class
    pairs: Spread  # of all rounds that a class takes part in
    weight: Spread  # sum of their weights


class SplitBalance(_Model):
    """What one split is made of, and what its pairs make use of.

    Of data that came in pairs, ``repeats``, ``coverage`` and ``num_uncovered`` count these pairs
    in place of examples.
    """

    split: str
    policy: str
    rounds: int
    num_examples: int
    num_given_pairs: int | None  # None: pairs are drawn from labelled examples
    num_same: int  # pairs of all rounds
    num_different: int
    different_per_same: float
    repeats_mean: float  # places of an example in a round, those that fill up chunks as well
    repeats_max: int
    coverage: float  # share of the examples that are in a pair
    num_uncovered: int  # examples in none
    classes: ClassBalance | None  # None: the data came in pairs
    notes: tuple[str, ...]  # what was settled otherwise than the configuration asks for

    def write(self, folder: Path) -> None:
        """Writes ``<split>.json`` into the folder of the artifact."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(self, folder / f"{self.split}.json")

    @classmethod
    def read(cls, folder: Path, split: str) -> "SplitBalance":
        """Reads ``<split>.json`` from the folder of the artifact."""
        return cls.model_validate_json((folder / f"{split}.json").read_bytes())
