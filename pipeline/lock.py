"""The lock of a pipeline root: only one process at a time may write into it."""

import contextlib
import datetime
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from diptych.schemas.cleanup import cleanup
from diptych.schemas.errors import BusyError, ConfigError

LOCK = "lock"


@contextlib.contextmanager
def lock_root(root: Path) -> Iterator[Callable[[str], None]]:
    """Hold the lock of a pipeline root; ML Metadata does not support two writers.

    The kernel releases the lock when the process ends, so the root of a killed process can be
    locked again.

    Args:
      root: Pipeline root; created if it does not exist.

    Yields:
      A function that records what the lock is held for, which a ``BusyError`` of another process
      shows.

    Raises:
      BusyError: If another process holds the lock.
      ConfigError: If the root is not writable, or its file system does not support locks.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot write into the root {root}: {error.strerror}.") from error
    with cleanup(file.close):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read() or "another process"
            raise BusyError(
                f"The root {root} is in use by {holder}. Wait until it has ended, or choose "
                "another root with --root."
            ) from error
        except OSError as error:
            raise ConfigError(
                f"The file system of the root {root} has no locks ({error.strerror}). Two runs at "
                "the same time would damage its metadata. Use a local disk, or NFS with locks."
            ) from error
        since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")

        def set_holder(purpose: str) -> None:
            file.truncate(0)
            file.write(f"{purpose}, process {os.getpid()} on {socket.gethostname()}, since {since}")
            file.flush()

        set_holder("diptych")
        with cleanup(lambda: file.truncate(0)):
            yield set_holder
