"""Paired comparison of two runs that were evaluated on the same test pairs."""

import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq

from diptych.pipeline.runs.outcome import RunOutcome
from diptych.schemas.evaluation import SCORED_PAIRS_SCHEMA, PairedComparison

_PAIR_COLUMNS = ["left", "right", "same"]


@dataclasses.dataclass(frozen=True)
class ScoredTestPairs:
    """Pairs of the test split with the distances of a run, in ``SCORED_PAIRS_SCHEMA``."""

    pairs: pa.Table
    threshold: float  # calibrated


def read_test_pairs(run: RunOutcome) -> ScoredTestPairs | None:
    """Read the scored test pairs of a run, or return None if they are missing or unreadable."""
    artifact = run.run.output("Evaluator", "evaluation")
    if artifact is None or run.evaluation is None:
        return None
    file = artifact.path / "pairs.parquet"
    if not file.is_file():
        return None
    pairs = pq.read_table(file, schema=SCORED_PAIRS_SCHEMA)
    return ScoredTestPairs(pairs, run.evaluation.pairs.calibrated.threshold)


def have_same_pairs(left: ScoredTestPairs, right: ScoredTestPairs) -> bool:
    """Return whether both contain the same pairs of the same examples, in the same order."""
    return bool(left.pairs.select(_PAIR_COLUMNS).equals(right.pairs.select(_PAIR_COLUMNS)))


def compare_on_same_pairs(left: ScoredTestPairs, right: ScoredTestPairs) -> PairedComparison:
    """Compare the right run with the left run, its baseline, on the same pairs."""
    from diptych.components.evaluator.paired_comparison import compare_paired
    from diptych.components.evaluator.scored_pairs import ScoredPairs
    from diptych.schemas.config.evaluate import EvaluateConfig

    table = left.pairs
    ids = pa.concat_arrays([*table["left"].chunks, *table["right"].chunks]).dictionary_encode()
    indices = ids.indices.to_numpy()
    same = table["same"].to_numpy()
    ends = indices[: len(same)], indices[len(same) :]

    def scored_pairs(run: ScoredTestPairs) -> ScoredPairs:
        return ScoredPairs(len(ids.dictionary), *ends, same, run.pairs["distance"].to_numpy())

    return compare_paired(
        scored_pairs(right), right.threshold, scored_pairs(left), left.threshold, EvaluateConfig()
    )
