"""Standard error that cannot fail."""

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any, TextIO


@contextlib.contextmanager
def tolerate_full_disk() -> Iterator[None]:
    """Drop what cannot be written to ``sys.stderr`` within the context.

    A worker thread of Beam prints the error of a step before it reports it. If printing fails, as
    on a full disk with the log, nothing is ever reported and the pipeline waits forever.
    """
    with contextlib.redirect_stderr(_without_errors(sys.stderr)):
        yield


def _without_errors(stream: TextIO) -> TextIO:
    try:
        descriptor = stream.fileno()
        stream.flush()
    except (OSError, ValueError):  # no file, such as the output of a notebook
        return stream
    file = io.BufferedWriter(_LossyFile(descriptor, "w", closefd=False))
    return io.TextIOWrapper(
        file, encoding=stream.encoding, errors="backslashreplace", line_buffering=True
    )


class _LossyFile(io.FileIO):
    def write(self, content: Any) -> int:
        with contextlib.suppress(OSError):
            return super().write(content) or 0
        return len(content)
