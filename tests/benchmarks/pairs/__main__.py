"""Compare implementations of balanced pair sampling, and measure how PairGen scales with the data.

Each run is a separate process, which gives separate peak memories. Times include reading the input
files and writing the output, but not imports.
"""

import argparse
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.pairs.data import class_sizes, make_data
from rich.console import Console
from rich.table import Table
from support.machine import describe_machine

from diptych.schemas.config.pairs import PairsConfig

IMPLEMENTATIONS = {
    "pair_gen": "PairGen",
    "polars_join": "Polars: windows and joins",
    "beam_rows": "Beam, row by row",
    "python_loop": "Python loop, random.choice",
    "copied_examples": "copied tf.Examples",
}
Result = dict[str, float]


def main() -> None:
    """Run all benchmarks, or a single one in a child process."""
    parser = argparse.ArgumentParser(prog="make bench-pairs ARGS=", description=__doc__)
    parser.add_argument("--examples", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--exponent", type=float, default=1.3, help="of Zipf's law")
    parser.add_argument("--widths", type=int, nargs="*", default=[64, 2352], help="input bytes")
    parser.add_argument("--sampling", default="natural")
    parser.add_argument("--only", nargs="+", choices=IMPLEMENTATIONS, default=list(IMPLEMENTATIONS))
    parser.add_argument(
        "--growth",
        type=lambda text: int(float(text)),
        nargs="*",
        default=[10**5, 10**6, 10**7],
        help="examples for PairGen alone, of 64 bytes",
    )
    parser.add_argument("--folder", type=Path, help="keep the data for the next run")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        task = json.loads(arguments.child)
        print(
            json.dumps(
                _make_benchmark_data(**task) if "sizes" in task else _run_implementation(**task)
            )
        )
        return
    with tempfile.TemporaryDirectory() as scratch:
        _run_benchmarks(arguments, arguments.folder or Path(scratch))


def _run_benchmarks(arguments: argparse.Namespace, folder: Path) -> None:
    console = Console(width=110)
    console.print(f"{describe_machine()}; sampling {arguments.sampling}, 2 rounds, P x K = 8 x 4")
    distribution = (arguments.classes, arguments.exponent, arguments.sampling)
    for width in arguments.widths:
        title = f"{arguments.examples:,} examples of {width:,} bytes, {arguments.classes:,} classes"
        names = ("examples/s", "pairs/s", "seconds", "peak MB", "output MB", "bytes/pair")
        table = _make_result_table(title, "", *names)
        for name in arguments.only:
            try:
                result = _measure_implementation(
                    name, arguments.examples, width, distribution, folder
                )
            except ChildProcessError as error:  # possibly out of memory; continue with the others
                table.add_row(IMPLEMENTATIONS[name], "failed")
                console.print(f"{IMPLEMENTATIONS[name]}: {error}", markup=False)
                continue
            console.print(f"{IMPLEMENTATIONS[name]}: {result['seconds']:,.1f} s")
            table.add_row(
                IMPLEMENTATIONS[name],
                f"{arguments.examples / result['seconds'] * result['share']:,.0f}",
                f"{result['pairs'] / result['seconds']:,.0f}",
                f"{result['seconds']:,.1f}",
                f"{result['peak'] / 2**20:,.0f}",
                f"{result['bytes'] / 2**20:,.0f}",
                f"{result['bytes'] / result['pairs']:,.0f}",
            )
        console.print(table)
    if arguments.growth:
        table = _make_result_table(
            "PairGen, 64 bytes", "examples", "seconds", "µs/example", "peak MB", "bytes/example"
        )
        for examples in arguments.growth:
            result = _measure_implementation("pair_gen", examples, 64, distribution, folder)
            table.add_row(
                f"{examples:,}",
                f"{result['seconds']:,.1f}",
                f"{result['seconds'] / examples * 1e6:,.1f}",
                f"{result['peak'] / 2**20:,.0f}",
                f"{result['peak'] / examples:,.0f}",
            )
        console.print(table)


def _make_result_table(title: str, first: str, *columns: str) -> Table:
    table = Table(first, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _measure_implementation(
    name: str, examples: int, width: int, distribution: tuple[int, float, str], folder: Path
) -> Result:
    classes, exponent, sampling = distribution
    data = folder / f"{examples}-{width}-{classes}-{exponent}"
    paths = _run_child(
        {"folder": str(data), "sizes": [examples, classes, exponent], "width": width}
    )
    task = {"name": name, "paths": paths, "folder": str(folder / "out"), "width": width}
    try:
        result: Result = _run_child(task | {"sampling": sampling, "examples": examples})
    finally:
        shutil.rmtree(folder / "out", ignore_errors=True)
    return result


def _run_child(task: dict[str, Any]) -> Any:
    """Run a task in a child process and return the last line of its output."""
    command = [sys.executable, "-m", "benchmarks.pairs", "--child", json.dumps(task)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if process.returncode:
        raise ChildProcessError(f"exit code {process.returncode}: {process.stderr[-1000:]}")
    return json.loads(process.stdout.splitlines()[-1])


def _make_benchmark_data(folder: str, sizes: tuple[int, int, float], width: int) -> list[str]:
    return make_data(Path(folder), class_sizes(*sizes), width)


def _run_implementation(
    name: str, paths: list[str], folder: str, width: int, sampling: str, examples: int
) -> Result:
    import tensorflow as tf  # all implementations read with it; its import is not measured

    settings = PairsConfig.model_validate({"sampling": sampling})
    implementation = importlib.import_module(f"benchmarks.pairs.{name}")
    tf.constant(0)
    start = time.perf_counter()
    pairs = implementation.run(paths, Path(folder), settings, width)
    seconds = time.perf_counter() - start
    written = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    share = 1.0
    if name == "copied_examples":  # writes only part of the pairs, so scale the number of examples
        share = min(pairs / implementation.count_pairs(examples, settings), 1.0)
    return {
        "pairs": pairs,
        "seconds": seconds,
        "bytes": written,
        "peak": peak,
        "share": share,
    }


if __name__ == "__main__":
    main()
