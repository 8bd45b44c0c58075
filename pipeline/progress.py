"""The protocol by which a run reports its progress, and a reporter that reports nothing."""

import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

LOGGER = "diptych.progress"


class ProgressReporter(Protocol):
    """Receiver of the progress of a run; the command line implements it with rich.

    The calls of one run come in this order: ``begin_run``, then for each step ``start_step``, any
    number of ``update``, ``note`` and ``complete``, and ``end_step``. ``warn`` may come at any
    time, also outside of a run.
    """

    def begin_run(self, pipeline: str, root: Path, log: Path) -> AbstractContextManager[None]:
        """Return a context that is open while the run is in progress.

        Args:
          pipeline: Name of the pipeline.
          root: Pipeline root of the run.
          log: Log file of the run. The command line redirects the output of libraries into it.
        """
        ...

    def start_step(self, name: str) -> None:
        """Report that a step starts."""
        ...

    def update(self, message: str) -> None:
        """Replace the message of the running step."""
        ...

    def note(self, message: str) -> None:
        """Report a message of the running step that stays visible."""
        ...

    def end_step(self, outcome: str = "") -> None:
        """Report that the running step has ended.

        Args:
          outcome: Result in a few words; empty keeps the last message of the step.
        """
        ...

    def complete(self, name: str, seconds: float, outcome: str) -> None:
        """Report a completed part of the running step, such as a trial of a search."""
        ...

    def warn(self, message: str) -> None:
        """Report a problem that does not fail the run."""
        ...


class SilentReporter:
    """A progress reporter that reports nothing: the default of the Python API."""

    def begin_run(self, pipeline: str, root: Path, log: Path) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def start_step(self, name: str) -> None:
        pass

    def update(self, message: str) -> None:
        pass

    def note(self, message: str) -> None:
        pass

    def end_step(self, outcome: str = "") -> None:
        pass

    def complete(self, name: str, seconds: float, outcome: str) -> None:
        pass

    def warn(self, message: str) -> None:
        logging.getLogger("diptych").warning(message)


@contextlib.contextmanager
def forward_progress(reporter: ProgressReporter) -> Iterator[None]:
    """Forward messages of the logger ``diptych.progress`` to a reporter.

    A step reports its progress to this logger. A message with ``extra={"keep": True}`` becomes a
    note; all others update the running step.
    """
    handler = _ProgressHandler(reporter)
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _ProgressHandler(logging.Handler):
    def __init__(self, reporter: ProgressReporter) -> None:
        super().__init__(logging.INFO)
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        keep = getattr(record, "keep", False)
        report = self._reporter.note if keep else self._reporter.update
        report(record.getMessage())
