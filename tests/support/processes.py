"""Start, observe and end the processes of a test."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path


def descendants(pid):
    """Return the pids of all descendants of a process."""
    pids = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):  # each thread has its own
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in map(int, path.read_text().split()):
                pids += [child, *descendants(child)]
    return pids


def pids_with_command(pids, word):
    """Return the pids whose command line contains a word; Ray sets it to the task of a worker."""
    matching = []
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if word in Path(f"/proc/{pid}/cmdline").read_bytes().decode():
                matching.append(pid)
    return matching


def pids_of_session(leader):
    """Return the pids of all live processes of a session."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # pid (name) state parent group session ...; a name may hold spaces
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state not in "ZX":
                pids.append(int(path.parent.name))
    return pids


@contextlib.contextmanager
def start_session(command, log, **options):
    """Run a command in a new session, and kill all processes of the session at the end."""
    with Path(log).open("wb") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=_accept_sigint,  # noqa: PLW1509 (no threads here)
            **options,
        )
    try:
        yield process
    finally:
        for pid in pids_of_session(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _accept_sigint():
    """Undo what a shell does to commands in the background, which would ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def repeat_in_background(function, interval_s):
    """Call a function in a thread again and again, as long as the context lasts."""
    ended = threading.Event()

    def repeat():
        while not ended.wait(interval_s):
            function()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def wait_until(condition, timeout_s, of=None):
    """Call a function until it returns a true value, and return the value.

    Args:
      condition: Function without arguments.
      timeout_s: Time after which the test fails.
      of: Process that must stay alive; None: no process.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        ended = of is not None and of.poll() is not None
        result = condition()
        if result:
            return result
        assert not ended, f"ended with {of.returncode}"
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout_s} s")
