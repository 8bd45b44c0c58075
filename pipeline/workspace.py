"""Where runs are: the root that is meant, and the folder of each run in it."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from diptych.schemas.config.config import Config
from diptych.schemas.errors import ConfigError

DATABASE = "metadata.sqlite"
LOG = "log.txt"


def find_root(given: Path | None) -> Path:
    """The root that is meant: the one given, or the only one here or directly below.

    Raises:
      ConfigError: there is none, or more than one.
    """
    if given is not None:
        return given.absolute()
    here = Path.cwd()
    found = [here] if (here / DATABASE).is_file() else []
    found += sorted(path.parent for path in here.glob(f"*/{DATABASE}"))
    if not found:
        raise ConfigError(
            f"There are no runs in {here}, nor in a folder directly below. Name the root with "
            "--root, or start a run: diptych run CONFIG."
        )
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(here)) for path in found)
        raise ConfigError(f"{len(found)} roots of runs are here: {names}. Name one with --root.")
    return found[0]


def run_folder(root: Path, run: str) -> Path:
    """Of a run: its log and its report."""
    return root / "runs" / run


def report_path(root: Path, run: str) -> Path:
    """Where the report of a run is kept."""
    return run_folder(root, run) / "report.html"


def serving_folder(config: Config, root: Path) -> Path:
    """Where the versions of the pushed model lie."""
    return Path(config.push.path) if config.push.path else root / "serving"


@contextlib.contextmanager
def alive(folder: Path) -> Iterator[None]:
    """Tells other processes that a run is going on, until it ends in whatever way.

    It is a lock on the log, which the kernel drops with the process: one that is killed leaves no
    sign of life behind.
    """
    with (folder / LOG).open("ab") as file:
        with contextlib.suppress(OSError):  # a file system without locks: nobody is told
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def is_alive(folder: Path) -> bool:
    """Whether the run of a folder is going on, as far as this machine knows."""
    try:
        with (folder / LOG).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no log, or a file system without locks
        return False
    return False
