"""Runs the example configurations, and shows what came out beside what is expected.

Exits with 1 if a figure is below what is expected, or a run fails.
"""

import argparse
import shutil
import sys
from pathlib import Path

from quality.datasets import DATA_SETS, REPOSITORY, DataSet
from quality.runs import make_data, run_pipeline
from rich.console import Console
from rich.table import Table

NAMES = [data_set.name for data_set in DATA_SETS]


def main() -> None:
    """Reads the arguments; runs one data set after another."""
    parser = argparse.ArgumentParser(prog="make quality ARGS=", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--root", type=Path, default=REPOSITORY / "demo" / "quality")
    arguments = parser.parse_args()
    console = Console(width=110)
    table = Table("data set", "figure", "expected", "got", "95 % interval", "seconds", "")
    missed = 0
    for data_set in DATA_SETS:
        if data_set.name in arguments.only:
            console.print(f"{data_set.name} ...")
            missed += _judge(data_set, arguments.root / data_set.name, table)
    console.print(table)
    if missed:
        console.print(f"{missed} not as expected; the logs are in {arguments.root}/*/runs")
    sys.exit(missed > 0)


def _judge(data_set: DataSet, root: Path, table: Table) -> int:
    """Runs a data set from nothing; returns how many figures are below what is expected."""
    shutil.rmtree(root, ignore_errors=True)
    make_data(data_set)
    try:
        seconds = f"{run_pipeline(data_set, root):.0f}"
    except ChildProcessError as error:
        table.add_row(data_set.name, str(error), "", "", "", "", "failed")
        return 1
    missed = 0
    for expectation in data_set.expectations:
        names = (data_set.name, expectation.what, f">= {expectation.at_least:.2%}")
        try:
            figure = expectation.measure(root)
        except FileNotFoundError as error:
            table.add_row(*names, str(error), "", seconds, "missed")
            missed += 1
            continue
        low, high = figure.interval
        reached = figure.value >= expectation.at_least
        missed += not reached
        table.add_row(
            *names,
            f"{figure.value:.2%}",
            f"{low:.2%} to {high:.2%}",
            seconds,
            "reached" if reached else "missed",
        )
    return missed


if __name__ == "__main__":
    main()
