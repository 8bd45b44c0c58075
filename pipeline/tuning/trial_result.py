"""What a trial came to, and the file in which it outlasts an interruption."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from diptych.components.trainer.learning_curves import Epoch, best_epoch
from diptych.schemas.files import whole_file

_ENDS = ("finished", "stopped", "failed", "lost")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The end of a trial.

    It finished; was stopped, as others had been better at the same epoch; failed, and would fail
    again; or its process was lost, and may not be another time.
    """

    number: int
    end: Literal["finished", "stopped", "failed", "lost"]
    curves: list[Epoch]
    reason: str = ""  # why it failed or was lost

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights a run would keep, as ``loop.train`` does."""
        return best_epoch(self.curves) if self.curves else None

    @property
    def accuracy(self) -> float:
        """On the calibration split, with these weights; 0 before the first epoch."""
        return self.best.calibration_accuracy if self.best else 0.0


def ranked(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Best first: those that finished, by accuracy; then those that did not."""
    return sorted(outcomes, key=lambda one: (_ENDS.index(one.end), -one.accuracy, one.number))


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Writes ``NUMBER.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / f"{outcome.number:05}.json") as beside:
        beside.write_text(json.dumps(dataclasses.asdict(outcome)) + "\n", encoding="utf-8")


def read_outcomes(folder: Path) -> dict[int, Outcome]:
    """What was written into the folder, by number."""
    outcomes = {}
    for path in sorted(folder.glob("*.json")):
        stored = json.loads(path.read_text(encoding="utf-8"))
        curves = [Epoch(**line) for line in stored.pop("curves")]
        outcomes[stored["number"]] = Outcome(curves=curves, **stored)
    return outcomes
