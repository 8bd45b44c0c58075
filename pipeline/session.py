"""What commands that work in a root have in common: console, log file, and errors in one line."""

import contextlib
import dataclasses
import datetime
import itertools
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from diptych.cli.console import Steps, quiet
from diptych.pipeline.lock import only_one
from diptych.pipeline.workspace import LOG, alive, run_folder
from diptych.schemas.config.config import Config
from diptych.schemas.config.loading import load_config
from diptych.schemas.config.model import OwnEncoder
from diptych.schemas.errors import ConfigError, DiptychError

_FAILED = 1
_log = logging.getLogger("diptych")


@dataclasses.dataclass(frozen=True)
class Session:
    """One call of a command, with its folder of everything that it writes."""

    config: Config
    root: Path
    log: Path
    console: Console
    steps: Steps
    started: float

    @property
    def run(self) -> str:
        """The name of the run: that of its folder."""
        return self.log.parent.name

    @property
    def seconds(self) -> float:
        """Since the call."""
        return time.perf_counter() - self.started

    def done(self) -> None:
        """The last line."""
        self.console.print(f"Done          in {self.seconds:.0f} s, log in {escape(str(self.log))}")


def in_session(
    path: Path, settings: tuple[str, ...], root: Path | None, work: Callable[[Session], None]
) -> int:
    """Does a command's work, alone in its root.

    Args:
      path: the configuration file.
      settings: overrides, ``key.path=value`` each.
      root: folder of everything that is written; None: ``diptych-<name>`` here.
      work: what is to be done; its first step has started.

    Returns:
      Exit code: 0, or 1 after a failure that was explained on the console.
    """
    try:
        config, place = settled(path, settings, root)
        with only_one(place) as tell:
            run = _new_run(place)
            tell(f"the run {run}")
            return 0 if attempt(config, place, run, work) is None else _FAILED
    except DiptychError as error:
        click.echo(f"Error: {error}", err=True)
        return _FAILED


def settled(path: Path, settings: tuple[str, ...], root: Path | None) -> tuple[Config, Path]:
    """The configuration, and the root; arguments as those of ``in_session``.

    Raises:
      ConfigError: the file or a setting cannot be read, or a value does not fit.
    """
    config = load_config(path, settings)
    if isinstance(config.model.encoder, OwnEncoder):
        _make_importable(Path.cwd())
    return config, (root or Path(f"diptych-{config.name}")).absolute()


def attempt(
    config: Config, root: Path, run: str, work: Callable[[Session], None], shown_on: int = 1
) -> str | None:
    """Works on a run, with all that other libraries print in its log.

    Args:
      config: the configuration.
      root: of the run; this process holds its lock.
      run: the name of the run.
      work: what is to be done; its first step has started.
      shown_on: the file descriptor for people, 1 or 2.

    Returns:
      Why it failed, in one line that was shown; None: it did not.

    Raises:
      ConfigError: the root cannot be written to.
    """
    log = run_folder(root, run) / LOG
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"Cannot write into the root {root}: {error.strerror}.") from error
    failure = None
    with quiet(log, shown_on) as console, alive(log.parent), Steps(console) as steps:
        console.print(f"[bold]{config.name}[/]  root {escape(str(root))}")
        try:
            steps.start("Preparation")
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
            with _stopped_in_order():
                work(Session(config, root, log, console, steps, time.perf_counter()))
        except DiptychError as error:
            _log.exception("The run failed")
            failure = " ".join(str(error).split())
        except (KeyboardInterrupt, SystemExit):  # Ray exits when it is told to stop
            failure = "Interrupted. What is finished is kept; run again to go on."
        except Exception as error:
            _log.exception("The run failed")
            failure = _cause(error)
        if failure is not None:
            steps.end("failed")
    if failure is not None:
        click.echo(f"Error: {failure}\nLog: {log}", err=True)
    return failure


@contextlib.contextmanager
def _stopped_in_order() -> Iterator[None]:
    """Lets SIGTERM, by which systemd and Kubernetes stop a process, do what Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _make_importable(folder: Path) -> None:
    """The user's own encoder may lie in the working directory; Ray workers look there, too."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([known] if known else [])])


def _new_run(root: Path) -> str:
    """The name of a run that starts now."""
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
    for number in itertools.count():  # the one before may have started in the same second
        run = now if number == 0 else f"{now}-{number}"
        if not run_folder(root, run).exists():
            break
    return run


def _cause(error: BaseException) -> str:
    """One line for an error that was not foreseen; Beam and TFX wrap those of their steps."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DiptychError):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    # TensorFlow begins with "in user code:" and a trace; the cause stands last.
    return f"{type(error).__name__}: {lines[-1] if lines[0].endswith(':') else lines[0]}"
