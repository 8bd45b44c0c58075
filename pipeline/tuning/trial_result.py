"""What a trial came to, and the file in which it outlasts an interruption."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from diptych.schemas.files import atomic_write
from diptych.schemas.learning_curves import EpochMetrics, best_epoch

_ENDS = ("finished", "stopped", "failed", "lost")


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """The end of a trial.

    It finished; was stopped, as others had been better at the same epoch; failed, and would fail
    again; or its process was lost, and may not be another time.
    """

    number: int
    end: Literal["finished", "stopped", "failed", "lost"]
    curves: list[EpochMetrics]
    reason: str = ""  # why it failed or was lost

    @property
    def best(self) -> EpochMetrics | None:
        """The epoch whose weights a run would keep, as ``loop.train`` does."""
        return best_epoch(self.curves) if self.curves else None

    @property
    def accuracy(self) -> float:
        """On the calibration split, with these weights; 0 before the first epoch."""
        return self.best.calibration_accuracy if self.best else 0.0


def rank_trial_results(outcomes: Iterable[TrialResult]) -> list[TrialResult]:
    """Best first: those that finished, by accuracy; then those that did not."""
    return sorted(outcomes, key=lambda one: (_ENDS.index(one.end), -one.accuracy, one.number))


def write_trial_result(folder: Path, outcome: TrialResult) -> None:
    """Writes ``NUMBER.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = vars(outcome) | {"curves": [metrics.model_dump() for metrics in outcome.curves]}
    with atomic_write(folder / f"{outcome.number:05}.json") as beside:
        beside.write_text(json.dumps(stored) + "\n", encoding="utf-8")


def read_trial_results(folder: Path) -> dict[int, TrialResult]:
    """What was written into the folder, by number."""
    outcomes = {}
    for path in sorted(folder.glob("*.json")):
        stored = json.loads(path.read_text(encoding="utf-8"))
        curves = [EpochMetrics(**line) for line in stored.pop("curves")]
        outcomes[stored["number"]] = TrialResult(curves=curves, **stored)
    return outcomes
