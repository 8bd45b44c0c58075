"""A session: the log, the progress and the errors of one run in a pipeline root."""

import contextlib
import dataclasses
import datetime
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

from diptych.components.common.import_path import import_encoder_from, safe_import_path
from diptych.pipeline.progress import ProgressReporter, forward_progress
from diptych.pipeline.standard_error import tolerate_full_disk
from diptych.pipeline.workspace import LOG, mark_running, run_folder
from diptych.schemas.cleanup import cleanup
from diptych.schemas.config.config import Config
from diptych.schemas.config.model import CustomEncoder
from diptych.schemas.errors import ConfigError, DiptychError, StepError
from diptych.schemas.paths import check_root, check_temporary_folder

INTERRUPTED = "Interrupted. Completed steps are kept; run the same command again to resume."
_log = logging.getLogger("diptych")


@dataclasses.dataclass(frozen=True)
class Session:
    """A run in progress; this process holds the lock of its root."""

    config: Config
    root: Path
    run: str
    progress: ProgressReporter


@contextlib.contextmanager
def open_session(
    config: Config, root: Path, run: str, progress: ProgressReporter
) -> Iterator[Session]:
    """Open the log of a run, report its progress, and translate its errors.

    Args:
      config: Configuration of the pipeline.
      root: Pipeline root; the caller holds its lock.
      run: Name of the run.
      progress: Receives the progress. Its first step, "Preparation", has started on entry.

    Raises:
      DiptychError: As raised by a step, also if Beam or TFX wrapped it.
      StepError: If a step failed with any other error, which is its cause.
      KeyboardInterrupt: If the run was interrupted.
      ConfigError: If the root is not writable.
    """
    log = run_folder(root, run) / LOG
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"Cannot write into the root {root}: {error.strerror}.") from error
    with (
        safe_import_path(),
        progress.begin_run(config.name, root, log),
        tolerate_full_disk(),
        log_to_file(log),
        mark_running(log.parent),
        forward_progress(progress),
    ):
        progress.start_step("Preparation")
        try:
            yield Session(config, root, run, progress)
        except (KeyboardInterrupt, SystemExit) as error:  # Ray exits when it receives a signal
            with contextlib.suppress(OSError):  # the terminal is closed
                progress.end_step("failed")
            raise KeyboardInterrupt from error
        except Exception as error:
            _log.exception("The run failed")
            with contextlib.suppress(OSError):
                progress.end_step("failed")
            if isinstance(error, DiptychError):
                raise
            raise _find_cause(error) from error


def resolve_root(config: Config, root: Path | None) -> Path:
    """Absolute path of the pipeline root; by default ``diptych-NAME`` in the working directory.

    Raises:
      ConfigError: If the path cannot be a root, or no temporary files can be written.
    """
    check_temporary_folder()
    return check_root((root or Path(f"diptych-{config.name}")).absolute())


def make_encoder_importable(config: Config) -> None:
    """Import a custom encoder from the working directory, also in Ray workers."""
    if isinstance(config.model.encoder, CustomEncoder):
        import_encoder_from(str(Path.cwd()), config.model.encoder.name)


def new_run_name(root: Path) -> str:
    """Name for a run that starts now, such as ``2026-11-21_021530``."""
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
    names = (now if number == 0 else f"{now}-{number}" for number in itertools.count())
    # The previous run may have started in the same second.
    return next(name for name in names if not run_folder(root, name).exists())


@contextlib.contextmanager
def log_to_file(log: Path) -> Iterator[None]:
    """Write all log records of this process from level INFO to a file.

    The handlers that the process has already keep the level of the root logger: a notebook does
    not show more than before.
    """
    handler = logging.FileHandler(log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root_logger = logging.getLogger()
    level = root_logger.level
    existing = {each: each.level for each in root_logger.handlers}
    for each in existing:
        each.setLevel(max(each.level, level))
    root_logger.addHandler(handler)
    root_logger.setLevel(logging.INFO)

    def restore() -> None:
        root_logger.setLevel(level)
        root_logger.removeHandler(handler)
        for each, its_level in existing.items():
            each.setLevel(its_level)

    with cleanup(restore, handler.close):
        yield


def _find_cause(error: BaseException) -> DiptychError:
    """Find the error of Diptych that Beam or TFX wrapped, or summarize another error in a line."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DiptychError):
            return type(cause)(str(cause))
        cause = cause.__cause__ or cause.__context__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    # TensorFlow starts with "in user code:" and a trace; the message is the last line.
    message = lines[-1] if lines[0].endswith(":") else lines[0]
    return StepError(f"{type(error).__name__}: {message}")
