"""Summary of a completed run, read from ML Metadata and the artifacts of the run."""

import dataclasses
import json
from pathlib import Path

from diptych.pipeline.runs.outcome import PushedVersion, find_pushed_version
from diptych.pipeline.runs.records import ArtifactRecord, RunRecord
from diptych.schemas.balance import SplitBalance
from diptych.schemas.data_report import DataReport
from diptych.schemas.evaluation import EvaluationReport
from diptych.schemas.rejected_rows import IngestSummary, ReasonCount
from diptych.schemas.shards import SPLITS, SplitManifest


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """Outputs of a completed run, including those from the cache."""

    manifests: dict[str, SplitManifest]
    balance: dict[str, SplitBalance]
    negatives: str
    num_rejected: int
    num_read: int
    rejected: Path
    ignored: dict[str, ReasonCount]  # files, columns and path levels without a role, by reason
    findings: dict[str, ReasonCount]  # accepted examples by observation
    data_report: DataReport
    skipped_spans: dict[str, str]  # span -> reason
    drift: str  # of the newest span; empty if the data have no spans
    evaluation: EvaluationReport
    evaluation_folder: Path
    curves: Path
    pushed: PushedVersion | None
    rolled_back: str | None  # version number of the same model, if it was rolled back before


def summarize_run(run: RunRecord) -> RunSummary:
    """Read the summary of a run that has completed all steps."""

    def output(step: str, key: str) -> ArtifactRecord:
        artifact = run.output(step, key)
        assert artifact is not None  # the run has completed all steps
        return artifact

    pairs, balance = output("PairGen", "pairs"), output("PairGen", "balance").path
    rejected = output("ExampleGen", "rejected")
    ingested = IngestSummary.read(rejected.path).used
    evaluation = output("Evaluator", "evaluation").path
    drift = run.output("SpanDrift", "anomalies")
    return RunSummary(
        manifests={split: SplitManifest.read(pairs.path / f"Split-{split}") for split in SPLITS},
        balance={split: SplitBalance.read(balance, split) for split in SPLITS},
        negatives=pairs.properties["negatives"],
        num_rejected=rejected.properties["num_rejected"],
        num_read=rejected.properties["num_read"],
        rejected=rejected.path,
        ignored=ingested.ignored,
        findings=ingested.findings,
        data_report=DataReport.read(output("ExampleGen", "data_report").path),
        skipped_spans=json.loads(rejected.properties.get("skipped_spans", "{}")),
        drift=drift.properties["summary"] if drift else "",
        evaluation=EvaluationReport.read(evaluation),
        evaluation_folder=evaluation,
        curves=output("Trainer", "training_log").path,
        pushed=find_pushed_version(run),
        rolled_back=output("Pusher", "pushed_model").properties.get("rolled_back"),
    )
