"""A night: one run of the pipeline by itself, from its first start to its end."""

import contextlib
import datetime
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pydantic

from diptych.schemas.files import whole_file
from diptych.schemas.versions import is_model

NIGHTS = "nights"  # the folder of their files
Outcome = Literal["running", "pushed", "not blessed", "failed", "nothing new", "busy"]
EXIT_CODES: dict[Outcome, int] = {
    "running": 0,  # as far as it was to go, by --until
    "pushed": 0,
    "nothing new": 0,
    "failed": 1,
    "not blessed": 3,
    "busy": 4,
}
_ENDED: tuple[Outcome, ...] = ("pushed", "not blessed")


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)


class Task(_Part):
    """What is to be done: the same task comes to the same."""

    span: str | None = None  # the newest one; None: the data have no spans
    fingerprint: str | None = None  # of the data; None: they cannot be read
    configuration: str = ""  # a digest of the sections that a result depends on
    code: str = ""  # a digest of all steps


class Figures(_Part):
    """What a night came to, in shares; None where that is not known."""

    rejected: float | None = None  # of the rows or images
    accuracy: float | None = None
    production_accuracy: float | None = None  # of the model in production, on the same pairs
    roc_auc: float | None = None
    verdict: str | None = None


class Night(Task):
    """The last state of a night, and the summary of a call that worked on it."""

    pipeline: str = ""  # empty: the configuration could not be read
    run: str = ""  # empty: it did not come so far
    outcome: Outcome
    exit_code: int = 0
    error: str | None = None
    calls: int = 1  # that worked on it
    started: datetime.datetime  # the first of them
    ended: datetime.datetime | None = None  # the last
    production: Path | None = None  # the version that it began with, or their folder: none yet
    version: str | None = None  # the one that it has pushed
    figures: Figures = Figures()
    report: str | None = None
    log: str | None = None

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def seconds(self) -> float | None:
        """From the first start to the end, with all that lay between two calls."""
        if self.ended is None:
            return None
        return round((self.ended - self.started).total_seconds(), 1)

    def is_of(self, task: Task) -> bool:
        """Whether it has this task."""
        return all(getattr(self, name) == getattr(task, name) for name in Task.model_fields)

    @property
    def has_lost_production(self) -> bool:
        """Whether the version that it began with is there no more: it was rolled back meanwhile."""
        version = self.production
        return version is not None and version.name.isdecimal() and not is_model(version)

    def end(self, outcome: Outcome, **more: object) -> "Night":
        """The state at the end of a call."""
        change = {"outcome": outcome, "exit_code": EXIT_CODES[outcome], "ended": now(), **more}
        return self.model_copy(update=change)

    def go_on(self) -> "Night":
        """The state at the start of one more call."""
        change = {"outcome": "running", "exit_code": 0, "error": None, "ended": None}
        return self.model_copy(update={**change, "calls": self.calls + 1})

    def write(self, root: Path) -> None:
        """Writes its file."""
        path = root / NIGHTS / f"{self.run}.json"
        path.parent.mkdir(exist_ok=True)
        with whole_file(path) as beside:
            beside.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def newest_night(root: Path, pipeline: str) -> Night | None:
    """The night of a pipeline that was started last; a file of another form is passed over."""
    found = []
    for path in (root / NIGHTS).glob("*.json"):
        with contextlib.suppress(OSError, pydantic.ValidationError):
            found.append(Night.model_validate_json(path.read_bytes()))
    own = [night for night in found if night.pipeline == pipeline]
    return max(own, key=lambda night: night.started, default=None)


def next_night(new: Night, before: Night | None, is_taken: Callable[[str], bool]) -> Night:
    """The night to work on now.

    The one before decides: if its task is the same, it is done, or gone on with under its name.

    Args:
      new: what it is if it is a new one.
      before: the newest night so far.
      is_taken: whether there is a run of a name; the new one's is ``NAME-2`` then, and so on.
    """
    if before is not None and before.is_of(new):
        if before.outcome in _ENDED:
            return before.model_copy(update={"started": new.started}).end("nothing new")
        if not before.has_lost_production:
            return before.go_on()
    names = (new.run if number == 1 else f"{new.run}-{number}" for number in itertools.count(1))
    return new.model_copy(update={"run": next(name for name in names if not is_taken(name))})


def now() -> datetime.datetime:
    """In UTC."""
    return datetime.datetime.now(datetime.UTC)
