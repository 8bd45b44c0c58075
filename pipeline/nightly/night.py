"""State transitions of a nightly run: start, resume, end."""

import contextlib
import datetime
import itertools
from collections.abc import Callable
from pathlib import Path

import pydantic

from diptych.schemas.night import EXIT_CODES, NIGHTS_FOLDER, Night, NightOutcome
from diptych.schemas.versions import is_saved_model


def newest_night(root: Path, pipeline: str) -> Night | None:
    """Read the most recently started night of a pipeline.

    A file that cannot be read, or that has an unexpected format, is ignored.
    """
    nights = []
    for path in (root / NIGHTS_FOLDER).glob("*.json"):
        with contextlib.suppress(OSError, pydantic.ValidationError):
            nights.append(Night.model_validate_json(path.read_bytes()))
    own = [night for night in nights if night.pipeline == pipeline]
    return max(own, key=lambda night: night.started, default=None)


def choose_night(new: Night, previous: Night | None, is_taken: Callable[[str], bool]) -> Night:
    """Choose the night to work on.

    If the previous night has the same inputs, it is either complete (outcome ``nothing new``) or
    resumed under its name. Otherwise a new night starts, and also if the model of the previous one
    was not blessed and the version that it was compared with has been rolled back since.

    Args:
      new: The night to start if the previous one cannot be resumed.
      previous: The newest night so far.
      is_taken: Returns whether a run has the given name. The new night then becomes ``NAME-2``,
        ``NAME-3`` and so on.
    """
    if previous is not None and previous.has_same_inputs(new):
        lost_production = _lost_production(previous)
        if previous.outcome == "pushed" or (
            previous.outcome == "not blessed" and not lost_production
        ):
            return end_night(previous.model_copy(update={"started": new.started}), "nothing new")
        if not lost_production:
            return resume_night(previous)
    names = (new.run if number == 1 else f"{new.run}-{number}" for number in itertools.count(1))
    return new.model_copy(update={"run": next(name for name in names if not is_taken(name))})


def resume_night(night: Night) -> Night:
    """Return the state at the start of another call."""
    changes = {"outcome": "running", "exit_code": 0, "error": None, "ended": None}
    return night.model_copy(update={**changes, "calls": night.calls + 1})


def end_night(night: Night, outcome: NightOutcome, **fields: object) -> Night:
    """Return the state at the end of a call; ``fields`` are further changes."""
    changes = {"outcome": outcome, "exit_code": EXIT_CODES[outcome], "ended": utc_now(), **fields}
    return night.model_copy(update=changes)


def utc_now() -> datetime.datetime:
    """Return the current time in UTC."""
    return datetime.datetime.now(datetime.UTC)


def _lost_production(night: Night) -> bool:
    """Return whether the version in production at the start has been rolled back since."""
    version = night.production
    return version is not None and version.name.isdecimal() and not is_saved_model(version)
