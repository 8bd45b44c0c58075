"""Data of a report, read from the artifacts of a run."""

import dataclasses
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pydantic

from diptych.pipeline.report.pca_projection import PcaProjection, project_embeddings
from diptych.pipeline.runs.details import read_sections
from diptych.pipeline.runs.records import RunRecord, StepState
from diptych.schemas.balance import SplitBalance
from diptych.schemas.data_report import DataReport
from diptych.schemas.errors import ConfigError, ModelError
from diptych.schemas.evaluation import SHOWN_LABEL_ERRORS_SCHEMA, EvaluationReport
from diptych.schemas.learning_curves import LearningCurves
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.rejected_rows import (
    IngestCounts,
    IngestSummary,
    ReasonCount,
    most_frequent,
)
from diptych.schemas.shards import SPLITS, SplitManifest

_MAX_WORST_PAIRS = 24
_PACKAGES = (
    *("diptych", "tfx", "tensorflow", "keras", "apache-beam", "ray", "numpy"),
    *("pyarrow", "scikit-learn"),
)


@dataclasses.dataclass(frozen=True)
class IngestReport:
    """Counts of the data that were read, rejected, ignored and noticed.

    Attributes:
      counts: Counts of the spans that are used.
      rejected: Tables of (reason, count), the most frequent reason first: rejected rows or images.
      ignored: Files, columns and path levels without a role.
      findings: Accepted examples by observation.
    """

    counts: IngestCounts
    rejected: list[tuple[str, ReasonCount]]
    ignored: list[tuple[str, ReasonCount]]
    findings: list[tuple[str, ReasonCount]]


@dataclasses.dataclass(frozen=True)
class ClassSizes:
    """Class sizes of the training split before and after balancing, the largest class first.

    Attributes:
      labels: Class names.
      before: (classes,) examples.
      after: (classes,) rows in one round of pairs.
    """

    labels: list[str]
    before: np.ndarray
    after: np.ndarray


@dataclasses.dataclass(frozen=True)
class WorstPair:
    """A pair far on the wrong side of the threshold; a thumbnail is a PNG, or None for vectors."""

    same: bool
    distance: float
    labels: tuple[str, str]
    thumbnails: tuple[bytes | None, bytes | None]


@dataclasses.dataclass(frozen=True)
class ShownLabelError:
    """A suspected label error with its nearest neighbours, the nearest first."""

    source: str
    label: str
    suggested: str
    score: float
    thumbnail: bytes | None
    neighbours: tuple[tuple[str, bytes | None], ...]  # label and thumbnail


@dataclasses.dataclass(frozen=True)
class ReportData:
    """Contents of a report. Values that a run does not have are None or empty."""

    run: RunRecord
    folder: Path  # of the evaluation artifact
    evaluation: EvaluationReport
    given_pairs: bool  # the data are given pairs without classes
    manifests: dict[str, SplitManifest]
    balance: dict[str, SplitBalance]
    ingest: IngestReport | None
    classes: ClassSizes | None
    data_report: DataReport
    curves: LearningCurves
    same: np.ndarray  # (pairs,) bool, True for positive pairs
    distance: np.ndarray  # (pairs,)
    projection: PcaProjection | None
    worst: tuple[WorstPair, ...]
    num_worst: int  # in the artifact
    label_errors: tuple[ShownLabelError, ...]
    reconstructions: bytes | None  # PNG
    settings: dict[str, Any]
    packages: dict[str, str]
    packages_at_push: bool  # recorded with the pushed model; otherwise the installed packages

    @property
    def notes(self) -> dict[str, list[str]]:
        """Splits of each note of the balance."""
        notes: dict[str, list[str]] = {}
        for split, balance in self.balance.items():
            for note in balance.notes:
                notes.setdefault(note, []).append(split)
        return notes


def read_report_data(run: RunRecord) -> ReportData:
    """Read the data of a report from the artifacts of a run.

    Memory: labels and ids of the training examples, the test pairs and the test embeddings; never
    the examples themselves.

    Raises:
      ConfigError: If the Evaluator of the run did not complete, or the files are missing, damaged
        or written by another version of Diptych.
    """
    artifact = run.output("Evaluator", "evaluation")
    if artifact is None:
        raise ConfigError(_missing_evaluation_message(run))
    try:
        return _read_artifacts(run, artifact.path)
    except (
        OSError,
        pa.ArrowInvalid,
        json.JSONDecodeError,
        pydantic.ValidationError,
        KeyError,
    ) as error:
        cause = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"The report of run {run.name} cannot be built: files of its artifacts below "
            f"{artifact.path.parents[2]} are missing, damaged or written by another version of "
            f"Diptych ({cause}). Run the configuration again."
        ) from error


def _read_artifacts(run: RunRecord, folder: Path) -> ReportData:
    pairs = _output_folder(run, "PairGen", "pairs")
    balance = _output_folder(run, "PairGen", "balance")
    manifests = {name: SplitManifest.read(pairs / f"Split-{name}") for name in SPLITS}
    balances = {name: SplitBalance.read(balance, name) for name in SPLITS}
    given_pairs = balances["train"].classes is None
    scored = pq.read_table(folder / "pairs.parquet", columns=["same", "distance"])
    worst = pq.read_table(folder / "worst_pairs.parquet")
    reconstructions = folder / "reconstructions.png"
    pushed = _read_pushed_manifest(run)
    return ReportData(
        run=run,
        folder=folder,
        evaluation=EvaluationReport.read(folder),
        given_pairs=given_pairs,
        manifests=manifests,
        balance=balances,
        ingest=_read_ingest(run),
        classes=None
        if given_pairs
        else read_class_sizes(pairs / "Split-train", max(balances["train"].rounds, 1)),
        data_report=DataReport.read(_output_folder(run, "ExampleGen", "data_report")),
        curves=LearningCurves.read(_output_folder(run, "Trainer", "training_log")),
        same=scored["same"].to_numpy() == 1,
        distance=scored["distance"].to_numpy(),
        projection=_read_projection(folder / "embeddings.parquet"),
        worst=_to_worst_pairs(worst.slice(0, _MAX_WORST_PAIRS)),
        num_worst=worst.num_rows,
        label_errors=_read_label_errors(folder),
        reconstructions=reconstructions.read_bytes() if reconstructions.is_file() else None,
        settings=read_sections(run),
        packages=pushed.packages if pushed else _installed_packages(),
        packages_at_push=pushed is not None,
    )


def read_class_sizes(folder: Path, rounds: int) -> ClassSizes:
    """Count the examples of each class in a split, and their rows per round of pairs.

    Args:
      folder: Folder with the shards of the split.
      rounds: Number of rounds in the shards.
    """
    files = sorted(str(path) for path in folder.glob("examples-*.arrow"))
    table = pa.dataset.dataset(files, format="ipc").to_table(columns=["label", "id"])
    counts = table.group_by("label").aggregate([("id", "count_distinct"), ("id", "count")])
    order = [("id_count_distinct", "descending"), ("label", "ascending")]
    counts = counts.sort_by(order)
    return ClassSizes(
        labels=[label.decode("utf-8", "replace") for label in counts["label"].to_pylist()],
        before=counts["id_count_distinct"].to_numpy(),
        after=counts["id_count"].to_numpy() / rounds,
    )


def _read_ingest(run: RunRecord) -> IngestReport | None:
    artifact = run.output("ExampleGen", "rejected")
    if artifact is None:
        return None
    counts = IngestSummary.read(artifact.path).used
    return IngestReport(
        counts=counts,
        rejected=most_frequent(counts.reasons),
        ignored=most_frequent(counts.ignored),
        findings=most_frequent(counts.findings),
    )


def _read_projection(path: Path) -> PcaProjection | None:
    table = pq.read_table(path, columns=["label", "seen", "embedding"])
    embeddings = table["embedding"].combine_chunks()
    values = embeddings.flatten().to_numpy().reshape(len(table), embeddings.type.list_size)
    return project_embeddings(values, table["label"].to_pylist(), table["seen"].to_numpy())


def _to_worst_pairs(table: pa.Table) -> tuple[WorstPair, ...]:
    return tuple(
        WorstPair(
            same=row["same"] == 1,
            distance=row["distance"],
            labels=(row["left_label"] or "", row["right_label"] or ""),
            thumbnails=(row["left_thumbnail"] or None, row["right_thumbnail"] or None),
        )
        for row in table.to_pylist()
    )


def _read_label_errors(folder: Path) -> tuple[ShownLabelError, ...]:
    path = folder / "label_errors.parquet"
    if not path.is_file():  # the data are given pairs
        return ()
    rows = pq.read_table(path, schema=SHOWN_LABEL_ERRORS_SCHEMA).to_pylist()
    return tuple(
        ShownLabelError(
            **{name: row[name] for name in ("source", "label", "suggested", "score", "thumbnail")},
            neighbours=tuple(
                zip(row["neighbour_labels"], row["neighbour_thumbnails"], strict=True)
            ),
        )
        for row in rows
    )


def _read_pushed_manifest(run: RunRecord) -> ModelManifest | None:
    """Read the manifest of the pushed model, or return None if it was not pushed or was deleted."""
    pushed = run.output("Pusher", "pushed_model")
    destination = pushed.properties.get("pushed_destination") if pushed else None
    try:
        return ModelManifest.read(Path(destination)) if destination else None
    except ModelError:  # deleted, or pushed without a manifest
        return None


def _installed_packages() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def _output_folder(run: RunRecord, step: str, key: str) -> Path:
    artifact = run.output(step, key)
    if artifact is None:
        raise KeyError(f"{step} has no output {key}")
    return artifact.path


def _missing_evaluation_message(run: RunRecord) -> str:
    if run.steps:
        last = run.steps[-1]
        progress = f"the run ended at {last.name}, which {_STATE_DESCRIPTIONS[last.state]}"
    else:
        progress = "the run started no step"
    return (
        f"The report of run {run.name} requires its evaluation, but {progress}. "
        "The log of the run shows the reason; run the configuration again."
    )


_STATE_DESCRIPTIONS: dict[StepState, str] = {
    "ran": "completed",
    "cached": "completed",
    "running": "did not complete",
    "failed": "failed",
}
