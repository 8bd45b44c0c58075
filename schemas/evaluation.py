"""Results of an evaluation: the metrics in ``evaluation.json``, and the tables next to it.

``pairs.parquet`` contains all scored pairs, ``embeddings.parquet`` the distinct examples of the
test split, and ``worst_pairs.parquet`` the pairs farthest on the wrong side of the calibrated
threshold, with thumbnails. Unless the data are given pairs, ``suspected_label_errors.csv`` lists
the examples whose neighbours have another label, and ``label_errors.parquet`` has pictures of the
first of them.
"""

from pathlib import Path
from typing import Literal

import pyarrow as pa

from diptych.schemas.json_model import JsonModel, write_json
from diptych.schemas.shards import ID_BYTES

SCORED_PAIRS_SCHEMA = pa.schema(
    [
        ("left", pa.binary(ID_BYTES)),
        ("right", pa.binary(ID_BYTES)),
        ("same", pa.int8()),
        ("distance", pa.float32()),
    ]
)
WORST_PAIRS_SCHEMA = pa.schema(
    [
        *SCORED_PAIRS_SCHEMA,
        ("left_label", pa.string()),
        ("right_label", pa.string()),
        ("left_thumbnail", pa.binary()),  # PNG
        ("right_thumbnail", pa.binary()),
    ]
)

LABEL_ERRORS_FILE = "suspected_label_errors.csv"
LABEL_ERRORS_COLUMNS = ("source", "label", "suggested", "score")
"""Columns of ``suspected_label_errors.csv``, which has one row per suspected example, the highest
score first. ``source`` is that of ExampleGen. A copy with corrected labels can be passed as
``data.corrections``."""
GIVEN_PAIRS_SCHEMA = pa.schema(
    [
        ("left", pa.string()),  # as in the list
        ("right", pa.string()),
        ("same", pa.int8()),
        ("fold", pa.int64()),  # null without folds
        ("distance", pa.float32()),
        ("leaked", pa.bool_()),  # an example of the pair is in the training split
    ]
)
SHOWN_LABEL_ERRORS_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("label", pa.string()),
        ("suggested", pa.string()),
        ("score", pa.float64()),
        ("thumbnail", pa.binary()),  # PNG
        ("neighbour_labels", pa.list_(pa.string())),  # the nearest first
        ("neighbour_thumbnails", pa.list_(pa.binary())),
    ]
)
"""Columns of ``label_errors.parquet``: the first suspected examples, with pictures."""


def embeddings_schema(embedding_size: int) -> pa.Schema:
    """Return the schema of ``embeddings.parquet``, which has one row per example.

    ``seen`` is true if the class occurs in the training split. ``label`` is empty if the data are
    given pairs. ``thumbnail`` is a PNG of at most 64 x 64 pixels.
    """
    return pa.schema(
        [
            ("id", pa.binary(ID_BYTES)),
            ("label", pa.string()),
            ("seen", pa.bool_()),
            ("embedding", pa.list_(pa.float32(), embedding_size)),
            ("thumbnail", pa.binary()),
        ]
    )


class Estimate(JsonModel):
    """A metric with its 95 % interval, by bootstrap over examples.

    ``value`` is None if the metric is undefined: the precision if no pair is predicted positive,
    or the accuracy of a class without pairs.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


class Confusion(JsonModel):
    """Confusion matrix in pairs; pairs of the same class are the positives."""

    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int


class AtThreshold(JsonModel):
    """Verification metrics where ``distance <= threshold`` predicts a positive pair."""

    threshold: float
    accuracy: Estimate
    precision: Estimate
    recall: Estimate
    f1: Estimate
    confusion: Confusion


class TrueAcceptRate(JsonModel):
    """Fraction of accepted positive pairs at a given false accept rate: TAR at FAR."""

    false_accept_rate: float
    threshold: float
    rate: Estimate


class Verification(JsonModel):
    """Metrics over pairs."""

    pairs: int
    positive_pairs: int
    examples: int
    roc_auc: Estimate
    equal_error_rate: Estimate
    tar_at_far: tuple[TrueAcceptRate, ...]
    fixed: AtThreshold
    calibrated: AtThreshold


class Retrieval(JsonModel):
    """Nearest neighbour metrics: each query is compared with all other examples of its slice.

    ``queries`` counts the examples of the ``gallery`` whose class has another example in it.
    """

    queries: int
    gallery: int
    classes: int
    recall_at_1: Estimate
    recall_at_5: Estimate
    map_at_r: Estimate


class FewShot(JsonModel):
    """N-way k-shot accuracy: choose among ``ways`` classes, given ``shots`` examples of each."""

    ways: int
    shots: int
    episodes: int
    classes: int  # classes with enough examples to be drawn
    accuracy: Estimate


class Slice(JsonModel):
    """Metrics of a part of the test split.

    The slice ``all`` contains everything. ``seen`` and ``unseen`` contain the examples whose class
    occurs, or does not occur, in the training split, and the pairs with both examples among them.
    Other slices are named by class frequency or label prefix and have no retrieval and few-shot
    metrics.
    """

    name: str
    verification: Verification | None = None  # None: positive or negative pairs are missing
    retrieval: Retrieval | None = None
    few_shot: tuple[FewShot, ...] = ()


class ClassMetrics(JsonModel):
    """Metrics of one class at the calibrated threshold; a pair counts for both of its classes."""

    label: str
    seen: bool
    examples: int
    pairs: int
    accuracy: float | None
    accuracy_positive: float | None
    accuracy_negative: float | None
    recall_at_1: float | None


class PairedComparison(JsonModel):
    """Candidate compared with a reference on the same pairs, each at its own calibrated threshold.

    The reference is the model in production, another run, or the no-learning baseline.
    """

    threshold: float  # of the reference
    accuracy: float  # of the reference
    difference: Estimate  # accuracy of the candidate minus that of the reference; paired bootstrap
    only_candidate_correct: int  # pairs
    only_reference_correct: int
    mcnemar_p: float  # two-sided, exact; assumes independent pairs, although pairs share examples


class RawDistanceMetrics(JsonModel):
    """Metrics of the no-learning baseline: the Euclidean distance between the encoder's inputs.

    Inputs are pixels in [0, 1] or standardized vectors. The threshold is chosen on the calibration
    split by the same criterion as that of the model. ``recall_at_1`` is None without classes, or if
    no class has two examples.
    """

    accuracy: Estimate
    roc_auc: Estimate
    equal_error_rate: Estimate
    recall_at_1: Estimate | None = None
    comparison: PairedComparison  # the model compared with this baseline


class LabelErrorSummary(JsonModel):
    """Number of suspected label errors among the examples that the model was not trained on.

    ``agreement`` is the fraction of the judged examples whose label is the most frequent one among
    their nearest neighbours; None without judged examples.
    """

    judged: int
    suspected: int
    agreement: float | None
    notes: tuple[str, ...] = ()  # examples that could not be judged, and why


class FoldAccuracy(JsonModel):
    """Accuracy over folds; the threshold of each fold is the most accurate one of all others."""

    mean: float
    standard_error: float
    accuracies: tuple[float, ...]  # of each fold
    thresholds: tuple[float, ...]


class GivenPairMetrics(JsonModel):
    """Metrics of the pairs of ``evaluate.pairs``.

    ``verification`` is None if no positive or no negative pair can be scored. ``folds`` is None if
    the list has no folds. All pairs that can be scored are in ``given_pairs.parquet``.
    """

    file: str
    pairs: int  # in the list
    leaked_pairs: int  # with at least one example of the training split
    leaked_examples: int
    verification: Verification | None
    folds: FoldAccuracy | None
    notes: tuple[str, ...] = ()  # pairs that are left out, and why


class Check(JsonModel):
    """One condition of the verdict."""

    name: str
    value: float | None  # None: the metric is undefined, so the check fails
    requirement: float
    better: Literal["higher", "lower"]
    passed: bool
    text: str  # sentence with value and requirement


class EvaluationReport(JsonModel):
    """All metrics of an evaluation, and the verdict."""

    blessed: bool
    checks: tuple[Check, ...]
    collapse: str | None  # description of the collapsed embeddings
    slices: tuple[Slice, ...]  # the first is ``all``
    classes: tuple[ClassMetrics, ...] = ()  # ordered by label; empty if the data are given pairs
    raw_distance: RawDistanceMetrics
    production: PairedComparison | None = None  # compared with the model in production
    label_errors: LabelErrorSummary | None = None  # None: the data are given pairs
    given_pairs: GivenPairMetrics | None = None  # None: evaluate.pairs is not set
    resamples: int
    notes: tuple[str, ...] = ()  # metrics that could not be computed, and why

    @property
    def all(self) -> Slice:
        """Metrics of the complete test split."""
        return self.slices[0]

    @property
    def pairs(self) -> Verification:
        """Verification metrics of the complete test split."""
        assert self.all.verification is not None  # evaluation fails without pairs of both kinds
        return self.all.verification

    @property
    def reason(self) -> str:
        """Text of all checks in one line."""
        return "; ".join(check.text for check in self.checks)

    def slice(self, name: str) -> Slice | None:
        """Return the slice with this name, or None."""
        return next((part for part in self.slices if part.name == name), None)

    def write(self, folder: Path) -> None:
        """Write ``evaluation.json`` into the folder of the artifact."""
        write_json(self, folder / "evaluation.json")

    @classmethod
    def read(cls, folder: Path) -> "EvaluationReport":
        """Read ``evaluation.json`` from the folder of the artifact."""
        return cls.model_validate_json((folder / "evaluation.json").read_bytes())
