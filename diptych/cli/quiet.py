"""How commands that use a model speak: results on standard output, and no noise on the other."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from rich.console import Console

from diptych.cli.errors import explained
from diptych.schemas.errors import DiptychError


@contextlib.contextmanager
def quietly() -> Iterator[Console]:
    """Keeps the noise of TensorFlow and Beam off the terminal; says errors in one line.

    Both write to file descriptor 2, from C++ too. What they wrote is shown after an error that
    is not meant for people, as it may explain it.

    Yields:
      A console on the real standard error, for progress.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    real = os.dup(2)
    with (
        explained(),
        os.fdopen(real, "w", encoding="utf-8", errors="replace") as terminal,
        tempfile.TemporaryFile() as noise,
    ):
        os.dup2(noise.fileno(), 2)
        try:
            yield Console(file=terminal, highlight=False)
        except DiptychError:
            raise
        except Exception:
            sys.stderr.flush()
            noise.seek(0)
            terminal.write(noise.read().decode(errors="replace"))
            raise
        finally:
            sys.stderr.flush()
            terminal.flush()
            os.dup2(real, 2)
