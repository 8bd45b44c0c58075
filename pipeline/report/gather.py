"""What a report is made from: the files of a run's artifacts, read into one value."""

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

from diptych.pipeline.report.points import Points, project
from diptych.pipeline.runs.facts import sections_of
from diptych.pipeline.runs.records import RunRecord
from diptych.schemas.balance import SplitBalance
from diptych.schemas.errors import ConfigError, ModelError
from diptych.schemas.evaluation import Evaluation
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.shards import SPLITS, Manifest

_WORST_SHOWN = 24
_REASONS_SHOWN = 20
_PACKAGES = (
    *("diptych", "tfx", "tensorflow", "keras", "apache-beam", "ray", "numpy"),
    *("pyarrow", "scikit-learn"),
)


@dataclasses.dataclass(frozen=True)
class Rejected:
    """Rows or images set aside; ``reasons`` are (reason, how often, one source), most first."""

    num_read: int
    num_rejected: int
    reasons: tuple[tuple[str, int, str], ...]
    num_reasons: int


@dataclasses.dataclass(frozen=True)
class ClassCounts:
    """Of the classes of the training split: examples, and their places in a round of pairs.

    All (classes,), the largest class first.
    """

    labels: list[str]
    before: np.ndarray
    after: np.ndarray


@dataclasses.dataclass(frozen=True)
class WorstPair:
    """A pair far on the wrong side; the pictures are PNG, or None."""

    same: bool
    distance: float
    labels: tuple[str, str]
    pictures: tuple[bytes | None, bytes | None]


@dataclasses.dataclass(frozen=True)
class Material:
    """All that a report shows. What a run does not have is None, or empty."""

    run: RunRecord
    folder: Path  # of the evaluation
    evaluation: Evaluation
    paired: bool  # the data came in pairs, and have no classes
    manifests: dict[str, Manifest]
    balance: dict[str, SplitBalance]
    rejected: Rejected | None
    classes: ClassCounts | None
    best_epoch: int
    epochs: list[dict[str, Any]]
    same: np.ndarray  # (pairs,) bool
    distance: np.ndarray  # (pairs,)
    points: Points | None
    worst: tuple[WorstPair, ...]
    num_worst: int  # in the artifact
    reconstructions: bytes | None  # PNG
    settings: dict[str, Any]
    packages: dict[str, str]
    packages_of_then: bool  # as noted with the pushed model; else as they are now

    @property
    def notes(self) -> dict[str, list[str]]:
        """The splits that have a note, for each note of the balance."""
        notes: dict[str, list[str]] = {}
        for split, balance in self.balance.items():
            for note in balance.notes:
                notes.setdefault(note, []).append(split)
        return notes


def gather(run: RunRecord) -> Material:
    """Reads the artifacts of a run.

    Memory: labels and ids of the training examples, the test pairs, the test embeddings; never
    the examples themselves.

    Raises:
      ConfigError: the run did not come to its Evaluator, or its files are gone or of another
        version of Diptych.
    """
    artifact = run.output("Evaluator", "evaluation")
    if artifact is None:
        raise ConfigError(_unfinished(run))
    try:
        return _gather(run, artifact.path)
    except (
        OSError,
        pa.ArrowInvalid,
        json.JSONDecodeError,
        pydantic.ValidationError,
        KeyError,
    ) as error:
        cause = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"No report of the run {run.name}: needed are the files of its artifacts, as this "
            f"version of Diptych writes them, below {artifact.path.parents[2]}. They are gone, "
            f"damaged or of another version ({cause}). Run the configuration again."
        ) from error


def _gather(run: RunRecord, folder: Path) -> Material:
    pairs, balance = _folder(run, "PairGen", "pairs"), _folder(run, "PairGen", "balance")
    manifests = {name: Manifest.read(pairs / f"Split-{name}") for name in SPLITS}
    balances = {name: SplitBalance.read(balance, name) for name in SPLITS}
    paired = balances["train"].classes is None
    curves = _folder(run, "Trainer", "training_log") / "curves.json"
    best_epoch, epochs = _read_curves(curves)
    judged = pq.read_table(folder / "pairs.parquet", columns=["same", "distance"])
    worst = pq.read_table(folder / "worst_pairs.parquet")
    picture = folder / "reconstructions.png"
    pushed = _pushed_manifest(run)
    return Material(
        run=run,
        folder=folder,
        evaluation=Evaluation.read(folder),
        paired=paired,
        manifests=manifests,
        balance=balances,
        rejected=_read_rejected(run),
        classes=None
        if paired
        else count_classes(pairs / "Split-train", max(balances["train"].rounds, 1)),
        best_epoch=best_epoch,
        epochs=epochs,
        same=judged["same"].to_numpy() == 1,
        distance=judged["distance"].to_numpy(),
        points=_read_points(folder / "embeddings.parquet"),
        worst=_worst_pairs(worst.slice(0, _WORST_SHOWN)),
        num_worst=worst.num_rows,
        reconstructions=picture.read_bytes() if picture.is_file() else None,
        settings=sections_of(run),
        packages=pushed.packages if pushed else _packages_now(),
        packages_of_then=pushed is not None,
    )


def count_classes(folder: Path, rounds: int) -> ClassCounts:
    """Counts examples of a split by class, and their places in a round.

    Args:
      folder: of the split's shards.
      rounds: of the pairs.
    """
    files = sorted(str(path) for path in folder.glob("examples-*.arrow"))
    table = pa.dataset.dataset(files, format="ipc").to_table(columns=["label", "id"])
    counts = table.group_by("label").aggregate([("id", "count_distinct"), ("id", "count")])
    order = [("id_count_distinct", "descending"), ("label", "ascending")]
    counts = counts.sort_by(order)
    return ClassCounts(
        labels=[label.decode("utf-8", "replace") for label in counts["label"].to_pylist()],
        before=counts["id_count_distinct"].to_numpy(),
        after=counts["id_count"].to_numpy() / rounds,
    )


def _read_rejected(run: RunRecord) -> Rejected | None:
    artifact = run.output("ExampleGen", "rejected")
    if artifact is None:
        return None
    files = sorted(str(path) for path in artifact.path.glob("rejected-*.parquet"))
    reasons = []
    if files:
        table = pa.dataset.dataset(files, format="parquet").to_table()
        counts = table.group_by("reason").aggregate([("source", "count"), ("source", "min")])
        counts = counts.sort_by([("source_count", "descending"), ("reason", "ascending")])
        columns = ("reason", "source_count", "source_min")
        reasons = list(zip(*(counts[name].to_pylist() for name in columns), strict=True))
    return Rejected(
        num_read=int(artifact.properties.get("num_read", 0)),
        num_rejected=int(artifact.properties.get("num_rejected", 0)),
        reasons=tuple(reasons[:_REASONS_SHOWN]),
        num_reasons=len(reasons),
    )


def _read_curves(path: Path) -> tuple[int, list[dict[str, Any]]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["best_epoch"], content["epochs"]


def _read_points(path: Path) -> Points | None:
    table = pq.read_table(path, columns=["label", "seen", "embedding"])
    embeddings = table["embedding"].combine_chunks()
    values = embeddings.flatten().to_numpy().reshape(len(table), embeddings.type.list_size)
    return project(values, table["label"].to_pylist(), table["seen"].to_numpy())


def _worst_pairs(table: pa.Table) -> tuple[WorstPair, ...]:
    return tuple(
        WorstPair(
            same=row["same"] == 1,
            distance=row["distance"],
            labels=(row["left_label"] or "", row["right_label"] or ""),
            pictures=(row["left_picture"] or None, row["right_picture"] or None),
        )
        for row in table.to_pylist()
    )


def _pushed_manifest(run: RunRecord) -> ModelManifest | None:
    """What the run's pushed model says of itself, if it was pushed and is still there."""
    pushed = run.output("Pusher", "pushed_model")
    place = pushed.properties.get("pushed_destination") if pushed else None
    try:
        return ModelManifest.read(Path(place)) if place else None
    except ModelError:  # pushed before manifests, or deleted since
        return None


def _packages_now() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def _folder(run: RunRecord, step: str, key: str) -> Path:
    artifact = run.output(step, key)
    if artifact is None:
        raise KeyError(f"{step} gave no {key}")
    return artifact.path


def _unfinished(run: RunRecord) -> str:
    if not run.steps:
        came = "it came to no step"
    else:
        last = run.steps[-1]
        came = f"it came to the step {last.name}, which {_WENT[last.state]}"
    return (
        f"No report of the run {run.name}: needed is its evaluation, and {came}. "
        "The log of the run says why; run the configuration again."
    )


_WENT = {
    "ran": "ended, and then no further",
    "cached": "ended, and then no further",
    "running": "has not ended",
    "failed": "failed",
}
