"""What commands that work in a root have in common: console, log file, and errors in one line."""

import contextlib
import dataclasses
import datetime
import itertools
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from diptych.pipeline.console import Steps, quiet
from diptych.pipeline.history.root import LOG, alive
from diptych.schemas.config import Config, load_config
from diptych.schemas.errors import DiptychError
from diptych.schemas.model import OwnEncoder

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
    """Does a command's work, with all that other libraries print in the log.

    Args:
      path: the configuration file.
      settings: overrides, ``key.path=value`` each.
      root: folder of everything that is written; None: ``diptych-<name>`` here.
      work: what is to be done; its first step has started.

    Returns:
      Exit code: 0, or 1 after a failure that was explained on the console.
    """
    started = time.perf_counter()
    try:
        config = load_config(path, settings)
    except DiptychError as error:
        click.echo(f"Error: {error}", err=True)
        return _FAILED
    if isinstance(config.model.encoder, OwnEncoder):
        _make_importable(Path.cwd())
    root = (root or Path(f"diptych-{config.name}")).absolute()
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
    try:
        log = _new_folder(root / "runs", now) / LOG
    except OSError as error:
        click.echo(f"Error: Cannot write into the root {root}: {error.strerror}.", err=True)
        return _FAILED
    failure = None
    with quiet(log) as console, alive(log.parent), Steps(console) as steps:
        console.print(f"[bold]{config.name}[/]  root {escape(str(root))}")
        try:
            steps.start("Preparation")
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
            work(Session(config, root, log, console, steps, started))
        except DiptychError as error:
            _log.exception("The run failed")
            failure = " ".join(str(error).split())
        except KeyboardInterrupt:
            failure = "Interrupted. What is finished is kept; run again to go on."
        except Exception as error:
            _log.exception("The run failed")
            failure = _cause(error)
        if failure is not None:
            steps.end("failed")
    if failure is not None:
        click.echo(f"Error: {failure}\nLog: {log}", err=True)
        return _FAILED
    return 0


def _make_importable(folder: Path) -> None:
    """The user's own encoder may lie in the working directory; Ray workers look there, too."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([known] if known else [])])


def _new_folder(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():  # another run may have started in the same second
        folder = parent / (name if number == 0 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            break
    return folder


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
