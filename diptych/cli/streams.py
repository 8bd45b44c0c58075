"""Standard streams of the program, whatever it was started with."""

import io
import os
import sys

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # by descriptor


def prepare_standard_streams() -> None:
    """Open closed streams on the null device, and escape characters that a stream cannot encode.

    If a descriptor is closed, as by ``>&-`` in a shell, Python has no stream for it, and the next
    file that the program opens would receive the output of TensorFlow.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened == descriptor:
                os.set_inheritable(descriptor, True)
            else:
                os.dup2(opened, descriptor)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):  # stderr does it by default
        sys.stdout.reconfigure(errors="backslashreplace")
