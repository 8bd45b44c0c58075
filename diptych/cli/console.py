"""What the user sees: a live line per step. Everything else goes to a log file."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


@contextmanager
def quiet(log: Path, shown_on: int = 1) -> Iterator[Console]:
    """Sends file descriptors 1 and 2 to a log file, and yields a console on a real one.

    TensorFlow, Beam and Ray write to the descriptors from C++ and from processes of their own,
    which no logging filter reaches.

    Args:
      log: is appended to.
      shown_on: the real descriptor that the console writes to, 1 or 2.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    log.parent.mkdir(parents=True, exist_ok=True)
    stdout, stderr = os.dup(1), os.dup(2)
    terminal = os.fdopen(os.dup(shown_on), "w", encoding="utf-8", errors="replace")
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    to_log = logging.StreamHandler(os.fdopen(os.dup(target), "w", encoding="utf-8"))
    to_log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        root.addHandler(to_log)
        root.setLevel(logging.INFO)
        logging.captureWarnings(True)
        yield Console(file=terminal, highlight=False, soft_wrap=True)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(to_log)
        to_log.stream.close()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        for descriptor in (target, stdout, stderr):
            os.close(descriptor)
        terminal.close()


class Steps:
    """A line for each step: a spinner while it runs, its time and outcome when it is done.

    Where the output is not a terminal, a line is written when a step ends; the messages in between
    are in the log alone, but for those to keep.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description:<16}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[message]}"),
            console=console,
            transient=True,
            redirect_stdout=False,  # what others print belongs in the log
            redirect_stderr=False,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._name, self._message, self._started = "", "", 0.0

    def __enter__(self) -> "Steps":
        self._progress.start()
        self._handler = _ToLine(self)
        logging.getLogger("diptych.progress").addHandler(self._handler)
        return self

    def __exit__(self, *exception: object) -> None:
        logging.getLogger("diptych.progress").removeHandler(self._handler)
        self._progress.stop()

    def start(self, name: str) -> None:
        """A step begins."""
        self._name, self._message, self._started = name, "", time.perf_counter()
        self._task = self._progress.add_task(name, total=None, message="")

    def say(self, message: str) -> None:
        """News of the running step, shown in its line."""
        self._message = message
        if self._task is not None:
            self._progress.update(self._task, message=escape(message))

    def keep(self, message: str) -> None:
        """News of the running step, in a line of its own that stays."""
        self._console.print(f"    {escape(message)}")

    def end(self, outcome: str = "") -> None:
        """The running step is done."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self.line(self._name, time.perf_counter() - self._started, outcome or self._message)

    def line(self, name: str, seconds: float, text: str) -> None:
        """Something that is done, above the line of the running step."""
        self._console.print(f"  {name:<18}{seconds:6.1f} s  {escape(text)}".rstrip())


class _ToLine(logging.Handler):
    """Carries messages of the logger ``diptych.progress`` into the running step's line.

    One with ``extra={"keep": True}`` gets a line of its own.
    """

    def __init__(self, steps: Steps) -> None:
        super().__init__(logging.INFO)
        self._steps = steps

    def emit(self, record: logging.LogRecord) -> None:
        tell = self._steps.keep if getattr(record, "keep", False) else self._steps.say
        tell(record.getMessage())
