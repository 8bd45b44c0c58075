"""Peak memory of a function."""

import re
from pathlib import Path


def measure_memory_growth(step):
    """Return the peak growth of resident memory during a call, in bytes; includes native memory."""
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    step()
    return resident("VmHWM") - before


def resident(line):
    """Return a memory value in bytes from a line of /proc/self/status."""
    return int(re.search(rf"{line}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
