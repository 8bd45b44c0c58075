"""Detect work that does not end, in a process that Ray Serve can replace."""

import contextlib
import time
from collections.abc import Iterator


class Watchdog:
    """Limits the time of each step of one thread; another thread calls ``check``.

    A decoder cannot be interrupted. The limits of images keep decoding short; if a file evades
    them, only the process that decodes it ends.

    Args:
      limit_s: Maximum time of a step.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._started: float | None = None

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Watch a step: the body of the context."""
        self._started = time.monotonic()
        try:
            yield
        finally:
            self._started = None

    def check(self) -> None:
        """Check the current step.

        Raises:
          TimeoutError: If it takes longer than the limit.
        """
        started = self._started
        if started is not None and time.monotonic() - started > self._limit_s:
            raise TimeoutError(f"An example or batch has been processed for {self._limit_s:g} s.")
