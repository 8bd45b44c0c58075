"""Console of the commands: progress and results are shown, the output of libraries is not.

TensorFlow, Beam and Ray write to file descriptors 1 and 2 from C++ and from other processes, which
no logging filter reaches. The commands therefore redirect the descriptors: ``redirect_output``
appends to the log of a run, ``hide_library_output`` keeps standard error until a command fails.
"""

import contextlib
import functools
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from diptych.cli.errors import exit_on_error
from diptych.cli.terminal_text import escape_control
from diptych.schemas.cleanup import cleanup, note_cleanup_error
from diptych.schemas.errors import DiptychError

STDOUT, STDERR = 1, 2


@contextlib.contextmanager
def redirect_output(log: Path, descriptor: int = STDOUT) -> Iterator[Console]:
    """Redirect file descriptors 1 and 2 to a log file.

    Args:
      log: File to append to.
      descriptor: Descriptor that the console writes to, 1 or 2.

    Yields:
      A console on the descriptor as it was before.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    log.parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    stdout, stderr = os.dup(STDOUT), os.dup(STDERR)
    terminal = os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="replace")
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    with cleanup(
        sys.stdout.flush,
        sys.stderr.flush,
        lambda: logging.captureWarnings(False),
        lambda: os.dup2(stdout, STDOUT),
        lambda: os.dup2(stderr, STDERR),
        *(functools.partial(os.close, each) for each in (target, stdout, stderr)),
        terminal.close,
    ):
        os.dup2(target, STDOUT)
        os.dup2(target, STDERR)
        logging.captureWarnings(True)
        yield Console(file=terminal, highlight=False, emoji=False, soft_wrap=True)


@contextlib.contextmanager
def hide_library_output() -> Iterator[Console]:
    """Hide what libraries write to standard error; exit with one line on a ``DiptychError``.

    The hidden output is shown before the traceback of any other error, as it may explain it.

    Yields:
      A console on the real standard error, for progress.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(STDERR)
    with (
        exit_on_error(),
        os.fdopen(stderr, "w", encoding="utf-8", errors="replace") as terminal,
        os.fdopen(os.memfd_create("hidden output"), "w+b") as hidden,
    ):
        os.dup2(hidden.fileno(), STDERR)
        with cleanup(sys.stderr.flush, terminal.flush, lambda: os.dup2(stderr, STDERR)):
            try:
                yield Console(file=terminal, highlight=False, emoji=False)
            except DiptychError:
                raise
            except Exception as error:
                try:
                    sys.stderr.flush()
                    hidden.seek(0)
                    terminal.write(hidden.read().decode(errors="replace"))
                except (OSError, ValueError) as problem:
                    note_cleanup_error(error, problem)
                raise


class ConsoleReporter:
    """A progress reporter with a line per step: a spinner, then the time and the outcome.

    Without a terminal, a line is printed when a step ends; the messages of a running step are then
    only in the log, except for notes.

    Args:
      descriptor: File descriptor to print on, 1 or 2.
    """

    def __init__(self, descriptor: int = STDOUT) -> None:
        self.log: Path | None = None  # of the run, as soon as it has begun
        self._descriptor = descriptor
        self._console: Console | None = None
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._name, self._message, self._started = "", "", 0.0
        self._run_started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._run_started

    @contextlib.contextmanager
    def begin_run(self, pipeline: str, root: Path, log: Path) -> Iterator[None]:
        """Redirect the output of libraries into the log, and show the progress."""
        self.log, self._run_started = log, time.perf_counter()
        with redirect_output(log, self._descriptor) as console, _interrupt_on_sigterm():
            self._console = console
            console.print(f"[bold]{escape(pipeline)}[/]  root {escape(escape_control(str(root)))}")
            self._progress = Progress(
                SpinnerColumn(finished_text=" "),
                TextColumn("{task.description:<16}"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[message]}"),
                console=console,
                transient=True,
                redirect_stdout=False,  # the output of libraries belongs into the log
                redirect_stderr=False,
                disable=not console.is_terminal,
            )
            try:
                with self._progress:
                    yield
            finally:
                self._console = self._progress = self._task = None

    def start_step(self, name: str) -> None:
        self._name, self._message, self._started = name, "", time.perf_counter()
        if self._progress is not None:
            self._task = self._progress.add_task(name, total=None, message="")

    def update(self, message: str) -> None:
        self._message = message
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, message=escape(message))

    def note(self, message: str) -> None:
        self._print(f"    {message}")

    def end_step(self, outcome: str = "") -> None:
        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self.complete(self._name, time.perf_counter() - self._started, outcome or self._message)

    def complete(self, name: str, seconds: float, outcome: str) -> None:
        self._print(f"  {name:<18}{seconds:6.1f} s  {outcome}".rstrip())

    def warn(self, message: str) -> None:
        if self._console is not None:
            self.note(f"Warning: {message}")
        else:
            click.echo(f"Warning: {message}", err=True)

    def _print(self, line: str) -> None:
        if self._console is not None:
            self._console.print(escape(escape_control(line)))


def results_console() -> Console:
    """Console for results on standard output; lines are not wrapped."""
    return Console(file=sys.stdout, highlight=False, emoji=False, soft_wrap=True)


@contextlib.contextmanager
def _interrupt_on_sigterm() -> Iterator[None]:
    """Handle SIGTERM, with which systemd and Kubernetes stop a process, like Ctrl-C."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
