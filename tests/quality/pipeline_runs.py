"""Creation of the data sets, and pipeline runs through the command line."""

import subprocess
import sys
import time
from pathlib import Path

from quality.datasets import DATA, DataSet


def make_data(data_set: DataSet) -> None:
    """Write the data unless the folder exists."""
    folder = DATA / data_set.folder
    if not folder.exists():
        command = [sys.executable, str(data_set.script), str(folder), *data_set.arguments]
        subprocess.run(command, check=True)


def run_pipeline(data_set: DataSet, root: Path, *settings: str) -> float:
    """Run the configuration of a data set.

    Args:
      data_set: Data set to run.
      root: Pipeline root.
      *settings: Overrides for ``--set``.

    Returns:
      Duration in seconds.

    Raises:
      ChildProcessError: If the run failed; the message is its standard error.
    """
    diptych = Path(sys.executable).with_name("diptych")
    command = [str(diptych), "run", str(data_set.config), "--root", str(root)]
    command += [part for setting in settings for part in ("--set", setting)]
    started = time.perf_counter()
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        raise ChildProcessError(result.stderr.strip() or f"exit code {result.returncode}")
    return time.perf_counter() - started
