"""Result of a trial, and its file, from which an interrupted search resumes."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from diptych.schemas.files import atomic_write
from diptych.schemas.learning_curves import EpochMetrics, best_epoch

_STATUS_ORDER = ("finished", "stopped", "failed", "lost")


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """Result of a trial.

    Attributes:
      number: Number of the trial.
      status: ``finished``; ``stopped``, because others were better at the same epoch; ``failed``
        with an error that would occur again; or ``lost`` with its process, worth another attempt.
      curves: Metrics of the completed epochs.
      reason: Error of a failed or lost trial.
    """

    number: int
    status: Literal["finished", "stopped", "failed", "lost"]
    curves: list[EpochMetrics]
    reason: str = ""

    @property
    def best(self) -> EpochMetrics | None:
        """Metrics of the epoch whose weights ``loop.train`` would keep."""
        return best_epoch(self.curves) if self.curves else None

    @property
    def accuracy(self) -> float:
        """Calibration accuracy at the best epoch; 0 without a completed epoch."""
        return self.best.calibration_accuracy if self.best else 0.0


def rank_trial_results(results: Iterable[TrialResult]) -> list[TrialResult]:
    """Sort results by status, finished trials first, then by descending accuracy."""
    return sorted(
        results, key=lambda one: (_STATUS_ORDER.index(one.status), -one.accuracy, one.number)
    )


def write_trial_result(folder: Path, result: TrialResult) -> None:
    """Write ``NUMBER.json`` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    values = vars(result) | {"curves": [metrics.model_dump() for metrics in result.curves]}
    with atomic_write(folder / f"{result.number:05}.json") as tmp_path:
        tmp_path.write_text(json.dumps(values) + "\n", encoding="utf-8")


def read_trial_results(folder: Path) -> dict[int, TrialResult]:
    """Read the results in the folder, keyed by trial number."""
    results = {}
    for path in sorted(folder.glob("*.json")):
        values = json.loads(path.read_text(encoding="utf-8"))
        curves = [EpochMetrics(**metrics) for metrics in values.pop("curves")]
        results[values["number"]] = TrialResult(curves=curves, **values)
    return results
