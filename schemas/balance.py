"""Class balance of the pairs of a split.

PairGen writes ``train.json``, ``calibration.json`` and ``test.json`` into the artifact ``Balance``.
"""

from pathlib import Path

from diptych.schemas.json_model import JsonModel, write_json


class Spread(JsonModel):
    """Smallest, median and largest value over the classes."""

    min: int | float
    median: float
    max: int | float


class ClassBalance(JsonModel):
    """Use of the classes of a split.

    A positive pair counts once for its class, a negative pair once for each of its two classes.
    """

    num_classes: int
    num_singletons: int  # classes with one example: negative pairs only
    num_uncovered: int  # classes in no pair
    examples: Spread  # per class
    pairs: Spread  # per class, over all rounds
    weight: Spread  # sum of the pair weights, per class


class SplitBalance(JsonModel):
    """Examples of a split and the pairs drawn from them.

    If the data are given pairs, ``repeats_*``, ``coverage`` and ``num_uncovered`` count given pairs
    instead of examples.
    """

    split: str
    sampling: str
    rounds: int
    num_examples: int
    num_given_pairs: int | None  # None: pairs are drawn from labelled examples
    num_positive: int  # pairs of all rounds
    num_negative: int
    num_distinct_positive: int  # positive pairs of two examples of a class, or given ones
    negatives_per_positive: float
    repeats_mean: float  # uses of an example per round, including padding of incomplete chunks
    repeats_max: int
    coverage: float  # fraction of the examples that are in a pair
    num_uncovered: int  # examples in no pair
    classes: ClassBalance | None  # None: the data are given pairs
    notes: tuple[str, ...]  # deviations from the configuration

    def write(self, folder: Path) -> None:
        """Write ``<split>.json`` into the folder of the artifact."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(self, folder / f"{self.split}.json")

    @classmethod
    def read(cls, folder: Path, split: str) -> "SplitBalance":
        """Read ``<split>.json`` from the folder of the artifact."""
        return cls.model_validate_json((folder / f"{split}.json").read_bytes())
