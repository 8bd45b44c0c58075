"""Run the example configurations and compare their metrics with the required minimums.

Exit with code 1 if a metric is below its minimum or a run fails.
"""

import argparse
import shutil
import sys
from pathlib import Path

from quality.datasets import DATA_SETS, REPOSITORY, DataSet
from quality.pipeline_runs import make_data, run_pipeline
from rich.console import Console
from rich.table import Table

NAMES = [data_set.name for data_set in DATA_SETS]


def main() -> None:
    """Run the selected data sets one after another."""
    parser = argparse.ArgumentParser(prog="make quality ARGS=", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--root", type=Path, default=REPOSITORY / "demo" / "quality")
    arguments = parser.parse_args()
    console = Console(width=110)
    table = Table("data set", "metric", "minimum", "value", "95 % interval", "seconds", "")
    num_failed = 0
    for data_set in DATA_SETS:
        if data_set.name in arguments.only:
            console.print(f"{data_set.name} ...")
            num_failed += _check_data_set(data_set, arguments.root / data_set.name, table)
    console.print(table)
    if num_failed:
        console.print(f"{num_failed} failed. The logs are in {arguments.root}/*/runs.")
    sys.exit(num_failed > 0)


def _check_data_set(data_set: DataSet, root: Path, table: Table) -> int:
    """Run a data set in an empty root and add its metrics to the table.

    Returns:
      Number of metrics below their minimum, or 1 if the run failed.
    """
    shutil.rmtree(root, ignore_errors=True)
    make_data(data_set)
    try:
        seconds = f"{run_pipeline(data_set, root):.0f}"
    except ChildProcessError as error:
        table.add_row(data_set.name, str(error), "", "", "", "", "failed")
        return 1
    num_failed = 0
    for expectation in data_set.expectations:
        cells = (data_set.name, expectation.name, f">= {expectation.minimum:.2%}")
        try:
            metric = expectation.measure(root)
        except FileNotFoundError as error:
            table.add_row(*cells, str(error), "", seconds, "failed")
            num_failed += 1
            continue
        low, high = metric.interval
        passed = metric.value >= expectation.minimum
        num_failed += not passed
        table.add_row(
            *cells,
            f"{metric.value:.2%}",
            f"{low:.2%} to {high:.2%}",
            seconds,
            "passed" if passed else "failed",
        )
    return num_failed


if __name__ == "__main__":
    main()
