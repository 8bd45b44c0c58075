"""End the service if its local Ray ends.

Without its raylet or its GCS, Ray ends the program that started it after a minute, without a
message and without its worker processes, and every call of Ray before that waits.
"""

import contextlib
import ctypes
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

_POLL_INTERVAL_S = 1.0
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_REQUIRED = ("gcs_server", "raylet")
_log = logging.getLogger(__name__)


def adopt_descendants() -> None:
    """Become the parent of descendants whose parent ends, so that they can be found."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextlib.contextmanager
def exit_if_ray_ends(folder: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Inside the context, exit with code 1 and all child processes if the local Ray ends.

    Args:
      folder: Folder of the local Ray, which is deleted.
      report: Called with a line that explains the end.
    """
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(_POLL_INTERVAL_S):
            name = _find_ended_process()
            if name is not None and not stop.is_set():
                _kill_descendants()
                shutil.rmtree(folder, ignore_errors=True)
                problem = (
                    f"error: the process {name} of Ray has ended, and the service with it. If it "
                    "was not stopped on purpose, memory may be short. Start the service again."
                )
                _log.error(problem)
                report(problem)
                os._exit(1)  # Ray's own exit handlers would wait for it

    thread = threading.Thread(target=watch, name="watch-ray", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _find_ended_process() -> str | None:
    from ray._private import worker

    node = worker._global_node
    ended = [] if node is None else [name for name, _ in node.dead_processes()]
    return next((name for name in ended if name in _REQUIRED), None)


def _kill_descendants() -> None:
    """Kill all descendants; requires ``adopt_descendants``."""
    with contextlib.suppress(ChildProcessError):  # no child is left
        while True:
            for path in Path("/proc/self/task").glob("*/children"):
                with contextlib.suppress(FileNotFoundError):
                    for pid in path.read_text().split():
                        os.kill(int(pid), signal.SIGKILL)
            os.waitpid(-1, 0)
