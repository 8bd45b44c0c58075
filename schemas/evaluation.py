"""The figures of an evaluation, in the artifact's ``evaluation.json``, and the tables beside it.

``pairs.parquet`` has the judged pairs, ``embeddings.parquet`` the distinct examples of the test
split, ``worst_pairs.parquet`` the pairs that are furthest on the wrong side of the calibrated
threshold, with pictures.
"""

from pathlib import Path
from typing import Literal

import pyarrow as pa
import pydantic

from diptych.schemas.shards import ID_BYTES, write_json

PAIRS = pa.schema(
    [
        ("left", pa.binary(ID_BYTES)),
        ("right", pa.binary(ID_BYTES)),
        ("same", pa.int8()),
        ("distance", pa.float32()),
    ]
)
WORST_PAIRS = pa.schema(
    [
        *PAIRS,
        ("left_label", pa.string()),
        ("right_label", pa.string()),
        ("left_picture", pa.binary()),  # PNG
        ("right_picture", pa.binary()),
    ]
)


def embeddings_schema(size: int) -> pa.Schema:
    """Columns of ``embeddings.parquet``: an example of the test split a row.

    ``seen`` says whether the class was in the training split; ``label`` is empty for data that
    came in pairs. ``picture`` is a PNG of at most 64 x 64 pixels.
    """
    return pa.schema(
        [
            ("id", pa.binary(ID_BYTES)),
            ("label", pa.string()),
            ("seen", pa.bool_()),
            ("embedding", pa.list_(pa.float32(), size)),
            ("picture", pa.binary()),
        ]
    )


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Estimate(_Part):
    """A figure with its 95 % interval, by bootstrap over examples.

    None where it does not exist: the precision of no pair called same, a class of no pairs.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


class Confusion(_Part):
    """Counts of pairs."""

    same_called_same: int
    same_called_different: int
    different_called_same: int
    different_called_different: int


class AtThreshold(_Part):
    """Verification where ``distance <= threshold`` means same, and same is the positive class."""

    threshold: float
    accuracy: Estimate
    precision: Estimate
    recall: Estimate
    f1: Estimate
    confusion: Confusion


class TrueAcceptRate(_Part):
    """Share of same pairs accepted where a share of different pairs is: TAR at FAR."""

    false_accept_rate: float
    threshold: float
    rate: Estimate


class Verification(_Part):
    """Figures of pairs."""

    pairs: int
    same_pairs: int
    examples: int
    roc_auc: Estimate
    equal_error_rate: Estimate
    tar_at_far: tuple[TrueAcceptRate, ...]
    fixed: AtThreshold
    calibrated: AtThreshold


class Retrieval(_Part):
    """Each example looks for its class among all others of the same part of the split.

    ``queries`` are those with another example of their class in the ``gallery``.
    """

    queries: int
    gallery: int
    classes: int
    recall_at_1: Estimate
    recall_at_5: Estimate
    map_at_r: Estimate


class FewShot(_Part):
    """N-way k-shot: of ``ways`` classes with ``shots`` examples each, which is the query's?"""

    ways: int
    shots: int
    episodes: int
    classes: int  # with enough examples to be drawn
    accuracy: Estimate


class Slice(_Part):
    """A part of the test split.

    ``seen`` and ``unseen`` hold the examples whose class was, or was not, in the training split,
    and the pairs with both of their examples there; ``all`` holds everything. Others have a name
    of their own, and no retrieval and few-shot figures.
    """

    name: str
    verification: Verification | None = None  # None: not both same and different pairs
    retrieval: Retrieval | None = None
    few_shot: tuple[FewShot, ...] = ()


class ClassFigures(_Part):
    """One class, at the calibrated threshold; a pair counts for both of its classes."""

    label: str
    seen: bool
    examples: int
    pairs: int
    accuracy: float | None
    accuracy_same: float | None
    accuracy_different: float | None
    recall_at_1: float | None


class Comparison(_Part):
    """The candidate beside the model in production, each at its own calibrated threshold."""

    threshold: float  # of the model in production
    accuracy: float  # of it
    difference: Estimate  # candidate minus the one before; paired bootstrap over examples
    only_candidate_right: int  # pairs
    only_baseline_right: int
    mcnemar_p: float  # two-sided, exact; pairs taken as independent, which they are not


class Rule(_Part):
    """One rule of the verdict."""

    name: str
    figure: float | None  # None: it could not be told, and so the rule does not hold
    bar: float
    better: Literal["higher", "lower"]
    holds: bool
    text: str  # in words, with figure and bar


class Evaluation(_Part):
    """All figures of an evaluation."""

    blessed: bool
    rules: tuple[Rule, ...]
    collapse: str | None  # how the embeddings collapsed, in words
    slices: tuple[Slice, ...]  # the first is ``all``
    classes: tuple[ClassFigures, ...] = ()  # by label; empty for data that came in pairs
    comparison: Comparison | None = None
    resamples: int
    notes: tuple[str, ...] = ()  # what could not be told, and why

    @property
    def all(self) -> Slice:
        """The whole test split."""
        return self.slices[0]

    @property
    def pairs(self) -> Verification:
        """Figures of all its pairs."""
        assert self.all.verification is not None  # there are both kinds, or no model is judged
        return self.all.verification

    @property
    def reason(self) -> str:
        """All rules in one line."""
        return "; ".join(rule.text for rule in self.rules)

    def slice(self, name: str) -> Slice | None:
        """The slice of a name."""
        return next((part for part in self.slices if part.name == name), None)

    def write(self, folder: Path) -> None:
        """Writes ``evaluation.json``."""
        write_json(self, folder / "evaluation.json")

    @classmethod
    def read(cls, folder: Path) -> "Evaluation":
        """Reads ``evaluation.json``."""
        return cls.model_validate_json((folder / "evaluation.json").read_bytes())
