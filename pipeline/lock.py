"""One at a time: whatever writes into a root holds its lock meanwhile."""

import contextlib
import datetime
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from diptych.schemas.errors import BusyError, ConfigError

LOCK = "lock"


@contextlib.contextmanager
def only_one(root: Path) -> Iterator[Callable[[str], None]]:
    """Holds the lock of a root; gives a function that tells others what it is held for.

    The kernel drops it with the process, however that ends: one that is killed leaves a root that
    the next can take. Two at a time would spoil the one ML Metadata.

    Args:
      root: is made if it is not there.

    Raises:
      BusyError: another process holds it; says which.
      ConfigError: the root cannot be written to, or its file system has no locks.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot write into the root {root}: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read() or "another process"
            raise BusyError(
                f"The root {root} is in use by {holder}. Wait until that has ended, or name "
                "another root."
            ) from error
        except OSError as error:
            raise ConfigError(
                f"The file system of the root {root} has no locks ({error.strerror}), and two runs "
                "at a time would spoil its metadata. Use a local disk, or NFS with locks."
            ) from error
        since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")

        def tell(what: str) -> None:
            file.truncate(0)
            file.write(f"{what}, process {os.getpid()} on {socket.gethostname()}, since {since}")
            file.flush()

        tell("diptych")
        try:
            yield tell
        finally:
            file.truncate(0)
