"""What a run came to: how it ended, its figures, its verdict, its version."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import pydantic

from diptych.pipeline.runs.records import RunRecord
from diptych.pipeline.workspace import is_alive, report_path, run_folder
from diptych.schemas.evaluation import Estimate, Evaluation
from diptych.schemas.versions import ROLLED_BACK, newest

_LAST_STEP = "Pusher"
RunState = Literal["done", "unchanged", "pruned", "failed", "running", "broken off"]


@dataclasses.dataclass(frozen=True)
class PushedVersion:
    """A version that a run has pushed, or found pushed already where nothing has changed."""

    path: Path
    there: bool
    in_production: bool  # it is the newest of its folder
    rolled_back: bool

    @property
    def version(self) -> str:
        """Its number."""
        return self.path.name


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run came to; None where it did not come so far."""

    run: RunRecord
    state: RunState
    report: Path  # where it is, or would be
    evaluation: Evaluation | None  # None: or its files are gone, or of an older form
    pushed: PushedVersion | None

    @property
    def last_step(self) -> str:
        """The step that it came to."""
        return self.run.steps[-1].name

    @property
    def seconds(self) -> float | None:
        """From the start of the first step to the end of the last; None: that is not known."""
        if self.state in ("running", "broken off"):
            return None
        steps = self.run.steps
        return (steps[-1].started - steps[0].started).total_seconds() + steps[-1].seconds

    @property
    def accuracy(self) -> Estimate | None:
        """At the calibrated threshold; without the interval where only ML Metadata knows it."""
        if self.evaluation is not None:
            return self.evaluation.pairs.calibrated.accuracy
        known = self._recorded("accuracy")
        return None if known is None else Estimate(value=known)

    @property
    def blessed(self) -> bool | None:
        """The verdict."""
        known = self._recorded("blessed")
        return None if known is None else bool(known)

    def steps(self, state: str) -> int:
        """How many steps have a state."""
        return sum(step.state == state for step in self.run.steps)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        evaluation, pushed = self.evaluation, self.pushed
        return {
            "run": self.run.name,
            "pipeline": self.run.pipeline,
            "state": self.state,
            "last_step": self.last_step,
            "started": self.run.steps[0].started.isoformat(timespec="seconds"),
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "steps_ran": self.steps("ran"),
            "steps_cached": self.steps("cached"),
            "accuracy": self.accuracy and self.accuracy.model_dump(),
            "roc_auc": evaluation and evaluation.pairs.roc_auc.model_dump(),
            "blessed": self.blessed,
            "reason": self._recorded("reason"),
            "version": pushed and pushed.version,
            "model": pushed and str(pushed.path),
            "model_there": pushed and pushed.there,
            "in_production": pushed and pushed.in_production,
            "rolled_back": pushed and pushed.rolled_back,
            "report": str(self.report) if self.report.is_file() else None,
        }

    def _recorded(self, name: str) -> Any:
        found = self.run.output("Evaluator", "evaluation")
        return found and found.properties.get(name)


def outcome(run: RunRecord, root: Path) -> Outcome:
    """Looks at what a run of a root has left."""
    folder = run_folder(root, run.name)
    return Outcome(
        run,
        state_of(run, folder),
        report_path(root, run.name),
        read_evaluation(run),
        pushed_by(run),
    )


def state_of(run: RunRecord, folder: Path) -> RunState:
    """How a run ended, or whether it is going on.

    One that is pruned came to its end, and its files have been deleted since.

    A run that was killed has told ML Metadata nothing of it: there, its step runs for ever.
    """
    states = {step.state for step in run.steps}
    last = run.step(_LAST_STEP)
    if "failed" in states:
        return "failed"
    if last is not None and last.state in ("ran", "cached"):
        if run.pruned:
            return "pruned"
        return "unchanged" if run.unchanged else "done"
    return "running" if is_alive(folder) else "broken off"


def read_evaluation(run: RunRecord) -> Evaluation | None:
    """The figures of a run; None where there are none, or none that this version can read."""
    found = run.output("Evaluator", "evaluation")
    try:
        return None if found is None else Evaluation.read(found.path)
    except (OSError, pydantic.ValidationError):
        return None


def pushed_by(run: RunRecord) -> PushedVersion | None:
    """The version that a run has pushed."""
    found = run.output(_LAST_STEP, "pushed_model")
    if found is None or not found.properties.get("pushed"):
        return None
    path = Path(found.properties["pushed_destination"])
    undone = (path.parent / ROLLED_BACK / path.name).is_dir()
    return PushedVersion(path, path.is_dir(), newest(path.parent) == path, undone)
