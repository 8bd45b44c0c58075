"""Description of the machine of a measurement."""

import os
import platform
from pathlib import Path


def describe_machine() -> str:
    """Return CPUs and Python version, such as ``2 x Intel Xeon, Python 3.11.7``."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {cpu}, Python {platform.python_version()}"
