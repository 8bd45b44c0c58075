"""Layout of a pipeline root: metadata, artifacts, pushed models, and a folder for each run."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from diptych.schemas.config.config import Config
from diptych.schemas.errors import ConfigError
from diptych.schemas.paths import check_root

DATABASE = "metadata.sqlite"
LOG = "log.txt"


def find_root(given: Path | None) -> Path:
    """Find the pipeline root that a command works with.

    Args:
      given: Root chosen by the user; None searches the working directory and its subfolders.

    Raises:
      ConfigError: If the search finds no root, or more than one.
    """
    if given is not None:
        return check_root(given.absolute())
    here = Path.cwd()
    found = [here] if (here / DATABASE).is_file() else []
    found += sorted(path.parent for path in here.glob(f"*/{DATABASE}"))
    if not found:
        raise ConfigError(
            f"No pipeline root in {here} or its subfolders. Choose one with --root, or start a "
            "run: diptych run CONFIG."
        )
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(here)) for path in found)
        raise ConfigError(
            f"{len(found)} pipeline roots in {here}: {names}. Choose one with --root."
        )
    return found[0]


def run_folder(root: Path, run: str) -> Path:
    """Folder of a run, with its log and its report.

    Raises:
      ConfigError: If the name, which may come from the database, is not one of a folder.
    """
    if run in ("", "..") or Path(run).name != run:
        raise ConfigError(f"{run!r} is not the name of a run. {root / DATABASE} was changed.")
    return root / "runs" / run


def report_path(root: Path, run: str) -> Path:
    """Path of the report of a run."""
    return run_folder(root, run) / "report.html"


def serving_folder(config: Config, root: Path) -> Path:
    """Folder with the versions of the pushed model."""
    return Path(config.push.path) if config.push.path else root / "serving"


@contextlib.contextmanager
def mark_running(folder: Path) -> Iterator[None]:
    """Mark a run as running for other processes, by a lock on its log file.

    The kernel releases the lock when the process ends, so a killed run does not count as running.

    Args:
      folder: Folder of the run.
    """
    with (folder / LOG).open("ab") as file:
        with contextlib.suppress(OSError):  # without locks, the run counts as interrupted
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def is_running(folder: Path) -> bool:
    """Return whether a process on this machine is working on the run."""
    try:
        with (folder / LOG).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no log, or a file system without locks
        return False
    return False
