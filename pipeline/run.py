"""``diptych run``: from a configuration to a summary."""

import contextlib
import datetime
import itertools
import logging
import os
import sys
import time
from pathlib import Path

import click
from rich.markup import escape

from diptych.pipeline.console import Steps, quiet
from diptych.pipeline.engines import check_reachable
from diptych.schemas.config import load_config
from diptych.schemas.errors import DiptychError
from diptych.schemas.model import OwnEncoder

_FAILED = 1
_log = logging.getLogger("diptych")


def run_pipeline(path: Path, settings: tuple[str, ...], root: Path | None) -> int:
    """Runs the pipeline once.

    Args:
      path: the configuration file.
      settings: overrides, ``key.path=value`` each.
      root: folder of everything that the run writes; None: ``diptych-<name>`` here.

    Returns:
      Exit code: 0, or 1 after a failure that was explained on the console.
    """
    try:
        config = load_config(path, settings)
    except DiptychError as error:
        click.echo(f"Error: {error}", err=True)
        return _FAILED
    if isinstance(config.model.encoder, OwnEncoder):
        _make_importable(Path.cwd())
    root = (root or Path(f"diptych-{config.name}")).absolute()
    started = time.perf_counter()
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
    try:
        log = _new_folder(root / "runs", now) / "log.txt"
    except OSError as error:
        click.echo(f"Error: Cannot write into the root {root}: {error.strerror}.", err=True)
        return _FAILED
    failure = None
    with quiet(log) as console, Steps(console) as steps:
        console.print(f"[bold]{config.name}[/]  root {escape(str(root))}")
        try:
            steps.start("Preparation")
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
            check_reachable(config.beam)
            from diptych.components.example_gen.preflight import settle

            inputs = settle(config.data, config.split)
            from diptych.pipeline.graph import LOOK_UPS, build_pipeline
            from diptych.pipeline.local import Outcome, run_locally
            from diptych.pipeline.summary import show, summarize

            pipeline = build_pipeline(config, inputs, root)
            steps.end()
            outcomes = {}

            def ended(name: str, outcome: Outcome) -> None:
                outcomes[name] = outcome
                steps.end("unchanged, from the cache" if outcome is Outcome.CACHED else "")

            run_locally(pipeline, steps.start, ended)
            show(summarize(root / "metadata.sqlite", config.name), console)
            ran = [name for name, outcome in outcomes.items() if outcome is Outcome.RAN]
            seconds = time.perf_counter() - started
            if set(ran) <= LOOK_UPS:
                console.print(f"Nothing has changed: all from the cache, in {seconds:.0f} s")
            else:
                console.print(f"Done          in {seconds:.0f} s, log in {escape(str(log))}")
        except DiptychError as error:
            _log.exception("The run failed")
            failure = " ".join(str(error).split())
        except KeyboardInterrupt:
            failure = "Interrupted. Finished steps are kept; run again to go on."
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
