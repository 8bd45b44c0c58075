"""Processes that a test starts, watches and ends; never any other."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path


def descendants(pid):
    """Children, and theirs."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):  # each thread has its own
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in map(int, path.read_text().split()):
                found += [child, *descendants(child)]
    return found


def named(pids, word):
    """Those whose command line has a word; Ray writes there what a worker does."""
    found = []
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if word in Path(f"/proc/{pid}/cmdline").read_bytes().decode():
                found.append(pid)
    return found


def in_session(leader):
    """All of a session that are alive, whoever their parent is by now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # pid (name) state parent group session ...; a name may hold spaces
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state not in "ZX":
                found.append(int(path.parent.name))
    return found


@contextlib.contextmanager
def started(command, log, **options):
    """Runs a command in a session of its own, of which nothing is left over at the end."""
    with Path(log).open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, start_new_session=True, **options
        )
    try:
        yield process
    finally:
        for pid in in_session(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def wait_until(fact, timeout_s, of=None):
    """Returns what ``fact`` gives as soon as it is something.

    Args:
      fact: a function.
      timeout_s: after which the test fails.
      of: a process, without which it cannot become a fact.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        ended = of is not None and of.poll() is not None
        found = fact()
        if found:
            return found
        assert not ended, f"ended with {of.returncode}"
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout_s} s")
