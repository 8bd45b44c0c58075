"""Outcome of a run: its state, metrics, verdict and pushed version."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import pydantic

from diptych.pipeline.runs.records import RunRecord, StepState
from diptych.pipeline.workspace import is_running, report_path, run_folder
from diptych.schemas.evaluation import Estimate, EvaluationReport
from diptych.schemas.versions import ROLLED_BACK_FOLDER, newest_version

_LAST_STEP = "Pusher"
RunState = Literal["done", "unchanged", "pruned", "failed", "running", "interrupted"]


@dataclasses.dataclass(frozen=True)
class PushedVersion:
    """A version pushed by a run, or by the previous run whose cached results it reuses."""

    path: Path
    exists: bool  # its files have not been deleted
    in_production: bool  # it is the newest version in its folder
    rolled_back: bool

    @property
    def version(self) -> str:
        """Version number, which is the folder name."""
        return self.path.name


@dataclasses.dataclass(frozen=True)
class RunOutcome:
    """Outcome of a run. Values of steps that did not complete are None."""

    run: RunRecord
    state: RunState
    report: Path  # the file may be missing
    evaluation: EvaluationReport | None  # also None if its files are missing or outdated
    pushed: PushedVersion | None

    @property
    def last_step(self) -> str:
        """Name of the last step that started."""
        return self.run.steps[-1].name

    @property
    def seconds(self) -> float | None:
        """Seconds from the start of the first step to the end of the last, or None if unknown."""
        if self.state in ("running", "interrupted"):
            return None
        steps = self.run.steps
        return (steps[-1].started - steps[0].started).total_seconds() + steps[-1].seconds

    @property
    def accuracy(self) -> Estimate | None:
        """Accuracy at the calibrated threshold.

        It has no interval if the files are missing: ML Metadata records only the value.
        """
        if self.evaluation is not None:
            return self.evaluation.pairs.calibrated.accuracy
        value = self._recorded("accuracy")
        return None if value is None else Estimate(value=value)

    @property
    def blessed(self) -> bool | None:
        """Verdict of the Evaluator."""
        blessed = self._recorded("blessed")
        return None if blessed is None else bool(blessed)

    def count_steps(self, state: StepState) -> int:
        """Count the steps in a state."""
        return sum(step.state == state for step in self.run.steps)

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON values."""
        evaluation, pushed = self.evaluation, self.pushed
        return {
            "run": self.run.name,
            "pipeline": self.run.pipeline,
            "state": self.state,
            "last_step": self.last_step,
            "started": self.run.steps[0].started.isoformat(timespec="seconds"),
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "steps_ran": self.count_steps("ran"),
            "steps_cached": self.count_steps("cached"),
            "accuracy": self.accuracy and self.accuracy.model_dump(),
            "roc_auc": evaluation and evaluation.pairs.roc_auc.model_dump(),
            "baseline_accuracy": evaluation and evaluation.raw_distance.accuracy.model_dump(),
            "blessed": self.blessed,
            "reason": self._recorded("reason"),
            "version": pushed and pushed.version,
            "model": pushed and str(pushed.path),
            "model_exists": pushed and pushed.exists,
            "in_production": pushed and pushed.in_production,
            "rolled_back": pushed and pushed.rolled_back,
            "report": str(self.report) if self.report.is_file() else None,
        }

    def _recorded(self, name: str) -> Any:
        artifact = self.run.output("Evaluator", "evaluation")
        return artifact and artifact.properties.get(name)


def read_run_outcome(run: RunRecord, root: Path) -> RunOutcome:
    """Read the outcome of a run from its record and its files below ``root``."""
    folder = run_folder(root, run.name)
    return RunOutcome(
        run,
        read_run_state(run, folder),
        report_path(root, run.name),
        read_evaluation(run),
        find_pushed_version(run),
    )


def read_run_state(run: RunRecord, folder: Path) -> RunState:
    """Determine the state of a run.

    A pruned run is complete, but files that it wrote or used have been deleted since. ML Metadata
    records the step of a killed process as running, so a file lock distinguishes a running from an
    interrupted run.

    Args:
      run: Record of the run.
      folder: Folder of the run with its log and lock.
    """
    states = {step.state for step in run.steps}
    last = run.step(_LAST_STEP)
    if "failed" in states:
        return "failed"
    if last is not None and last.state in ("ran", "cached"):
        if run.pruned:
            return "pruned"
        return "unchanged" if run.unchanged else "done"
    return "running" if is_running(folder) else "interrupted"


def read_evaluation(run: RunRecord) -> EvaluationReport | None:
    """Read the metrics of a run, or return None if they are missing or unreadable."""
    artifact = run.output("Evaluator", "evaluation")
    try:
        return None if artifact is None else EvaluationReport.read(artifact.path)
    except (OSError, pydantic.ValidationError):
        return None


def find_pushed_version(run: RunRecord) -> PushedVersion | None:
    """Return the version that a run has pushed, or None."""
    artifact = run.output(_LAST_STEP, "pushed_model")
    if artifact is None or not artifact.properties.get("pushed"):
        return None
    path = Path(artifact.properties["pushed_destination"])
    rolled_back = (path.parent / ROLLED_BACK_FOLDER / path.name).is_dir()
    return PushedVersion(
        path,
        exists=path.is_dir(),
        in_production=newest_version(path.parent) == path,
        rolled_back=rolled_back,
    )
