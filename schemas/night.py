"""State of a nightly run: ``ROOT/nights/NAME.json``.

The same object is the JSON line on standard output, a line of the run history ``nights.jsonl``, and
the body that is posted to the webhook.
"""

import datetime
from pathlib import Path
from typing import Literal

import pydantic

from diptych.schemas.files import atomic_write

NIGHTS_FOLDER = "nights"
NightOutcome = Literal["running", "pushed", "not blessed", "failed", "nothing new", "busy"]
EXIT_CODES: dict[NightOutcome, int] = {
    "running": 0,  # stopped after the step of --until
    "pushed": 0,
    "nothing new": 0,
    "failed": 1,
    "not blessed": 3,
    "busy": 4,
}


class _NightModel(pydantic.BaseModel):
    # Unknown keys are ignored: a file contains computed fields, and may come from a newer version.
    model_config = pydantic.ConfigDict(frozen=True)


class NightInputs(_NightModel):
    """Everything that the result of a night depends on: equal inputs give the same result.

    Attributes:
      span: Newest span; None if the data have no spans.
      fingerprint: Digest of the names, sizes and times of the data files; None if unreadable.
      configuration: Digest of the sections that a result depends on.
      code: Digest of the code of all steps.
    """

    span: str | None = None
    fingerprint: str | None = None
    configuration: str = ""
    code: str = ""

    def has_same_inputs(self, other: "NightInputs") -> bool:
        """Return whether all inputs are equal."""
        return all(getattr(self, key) == getattr(other, key) for key in NightInputs.model_fields)


class NightMetrics(_NightModel):
    """Metrics of a night, as fractions; None if unknown.

    Attributes:
      rejected: Fraction of rejected rows or images.
      accuracy: Accuracy at the calibrated threshold, on the test pairs.
      production_accuracy: Accuracy of the model in production, on the same pairs.
      baseline_accuracy: Accuracy of the plain distance between inputs, on the same pairs.
      roc_auc: Area under the ROC curve.
      verdict: Reason why the model was blessed or not.
    """

    rejected: float | None = None
    accuracy: float | None = None
    production_accuracy: float | None = None
    baseline_accuracy: float | None = None
    roc_auc: float | None = None
    verdict: str | None = None


class Night(NightInputs):
    """State of a nightly run after its latest call.

    Attributes:
      pipeline: Name of the pipeline; empty if the configuration could not be read.
      run: Name of the run; empty if the call failed before it was chosen.
      outcome: Outcome of the latest call.
      exit_code: Exit code of the latest call.
      error: Error message in one line; None if nothing failed.
      calls: Number of calls of `diptych run --nightly` for this night.
      started: Start of the first call.
      ended: End of the latest call; None while it is running.
      production: Version in production at the start, or the folder of versions if it was empty.
      version: Version that the night pushed.
      metrics: Metrics of the new model.
      report: Path of the report.
      log: Path of the log.
    """

    pipeline: str = ""
    run: str = ""
    outcome: NightOutcome
    exit_code: int = 0
    error: str | None = None
    calls: int = 1
    started: datetime.datetime
    ended: datetime.datetime | None = None
    production: Path | None = None
    version: str | None = None
    metrics: NightMetrics = NightMetrics()
    report: str | None = None
    log: str | None = None

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def seconds(self) -> float | None:
        """Time from the start of the first call to the end of the latest, including pauses."""
        if self.ended is None:
            return None
        return round((self.ended - self.started).total_seconds(), 1)

    def write(self, root: Path) -> None:
        """Write the file of the night into a pipeline root, atomically."""
        path = root / NIGHTS_FOLDER / f"{self.run}.json"
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as tmp_path:
            tmp_path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
