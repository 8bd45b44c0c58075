"""Makes the data of a data set, and runs the pipeline on it as a user does."""

import subprocess
import sys
import time
from pathlib import Path

from quality.datasets import DATA, DataSet


def make_data(data_set: DataSet) -> None:
    """Writes the data, unless they are there."""
    target = DATA / data_set.folder
    if not target.exists():
        command = [sys.executable, str(data_set.script), str(target), *data_set.arguments]
        subprocess.run(command, check=True)


def run_pipeline(data_set: DataSet, root: Path, *settings: str) -> float:
    """Runs the data set's configuration, with settings over it; returns the seconds.

    Raises:
      ChildProcessError: the run failed; with its own words.
    """
    diptych = Path(sys.executable).with_name("diptych")
    command = [str(diptych), "run", str(data_set.config), "--root", str(root)]
    command += [part for setting in settings for part in ("--set", setting)]
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise ChildProcessError(done.stderr.strip() or f"ended with {done.returncode}")
    return time.perf_counter() - started
