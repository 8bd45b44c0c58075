"""Two runs judged on the same pairs, compared pair by pair."""

import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq

from diptych.pipeline.runs.outcome import Outcome
from diptych.schemas.evaluation import PAIRS, Comparison

_WHICH = ["left", "right", "same"]


@dataclasses.dataclass(frozen=True)
class JudgedPairs:
    """The pairs of a run's test split with their distances, as ``schemas.evaluation.PAIRS``."""

    pairs: pa.Table
    threshold: float  # the calibrated one


def judged_pairs(run: Outcome) -> JudgedPairs | None:
    """What a run has judged; None where it has not, its files are gone or of an older form."""
    found = run.run.output("Evaluator", "evaluation")
    if found is None or run.evaluation is None or not (found.path / "pairs.parquet").is_file():
        return None
    pairs = pq.read_table(found.path / "pairs.parquet", schema=PAIRS)
    return JudgedPairs(pairs, run.evaluation.pairs.calibrated.threshold)


def are_same(left: JudgedPairs, right: JudgedPairs) -> bool:
    """Whether they are the same pairs of the same examples, in the same order."""
    return bool(left.pairs.select(_WHICH).equals(right.pairs.select(_WHICH)))


def compare_paired(left: JudgedPairs, right: JudgedPairs) -> Comparison:
    """The right run beside the left one, on pairs that are the same."""
    from diptych.components.evaluator.baseline_comparison import compare
    from diptych.components.evaluator.scored_pairs import Judged
    from diptych.schemas.config.evaluate import Evaluate

    table = left.pairs
    ids = pa.concat_arrays([*table["left"].chunks, *table["right"].chunks]).dictionary_encode()
    rows = ids.indices.to_numpy()
    same = table["same"].to_numpy()

    def judged(run: JudgedPairs) -> Judged:
        ends = rows[: len(same)], rows[len(same) :]
        return Judged(len(ids.dictionary), *ends, same, run.pairs["distance"].to_numpy())

    return compare(judged(right), right.threshold, judged(left), left.threshold, Evaluate())
