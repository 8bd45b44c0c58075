"""Draws balanced pairs in several ways, side by side, and shows how PairGen grows with the data.

Each run is a process of its own, so that its peak memory is its own. Times are from the input
files to the written output, without the imports.
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
from support.machine import machine

from diptych.schemas.config.pairs import Pairs

CONTESTANTS = {
    "pair_gen": "PairGen",
    "polars_join": "Polars: windows and joins",
    "beam_rows": "Beam, row by row",
    "python_loop": "Python loop, random.choice",
    "copied_examples": "copied tf.Examples",
}
Result = dict[str, float]


def main() -> None:
    """Runs all, or in a child process one."""
    parser = argparse.ArgumentParser(prog="make bench-pairs ARGS=", description=__doc__)
    parser.add_argument("--examples", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--exponent", type=float, default=1.3, help="of Zipf's law")
    parser.add_argument("--widths", type=int, nargs="*", default=[64, 2352], help="input bytes")
    parser.add_argument("--policy", default="natural")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument(
        "--growth",
        type=lambda text: int(float(text)),
        nargs="*",
        default=[10**5, 10**6, 10**7],
        help="examples for PairGen alone, of 64 bytes",
    )
    parser.add_argument("--folder", type=Path, help="keeps the data for the next time")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        task = json.loads(arguments.child)
        print(json.dumps(_data(**task) if "sizes" in task else _run(**task)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        _compare(arguments, arguments.folder or Path(scratch))


def _compare(arguments: argparse.Namespace, folder: Path) -> None:
    console = Console(width=110)
    console.print(f"{machine()}; policy {arguments.policy}, 2 rounds, P x K = 8 x 4")
    kind = (arguments.classes, arguments.exponent, arguments.policy)
    for width in arguments.widths:
        title = f"{arguments.examples:,} examples of {width:,} bytes, {arguments.classes:,} classes"
        names = ("examples/s", "pairs/s", "seconds", "peak MB", "output MB", "bytes/pair")
        table = _table(title, "", *names)
        for name in arguments.only:
            try:
                result = _measure(name, arguments.examples, width, kind, folder)
            except ChildProcessError as error:  # out of memory, perhaps: the others go on
                table.add_row(CONTESTANTS[name], "failed")
                console.print(f"{CONTESTANTS[name]}: {error}", markup=False)
                continue
            console.print(f"{CONTESTANTS[name]}: {result['seconds']:,.1f} s")
            table.add_row(
                CONTESTANTS[name],
                f"{arguments.examples / result['seconds'] * result['share']:,.0f}",
                f"{result['pairs'] / result['seconds']:,.0f}",
                f"{result['seconds']:,.1f}",
                f"{result['peak'] / 2**20:,.0f}",
                f"{result['bytes'] / 2**20:,.0f}",
                f"{result['bytes'] / result['pairs']:,.0f}",
            )
        console.print(table)
    if arguments.growth:
        table = _table(
            "PairGen, 64 bytes", "examples", "seconds", "µs/example", "peak MB", "bytes/example"
        )
        for examples in arguments.growth:
            result = _measure("pair_gen", examples, 64, kind, folder)
            table.add_row(
                f"{examples:,}",
                f"{result['seconds']:,.1f}",
                f"{result['seconds'] / examples * 1e6:,.1f}",
                f"{result['peak'] / 2**20:,.0f}",
                f"{result['peak'] / examples:,.0f}",
            )
        console.print(table)


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(first, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _measure(
    name: str, examples: int, width: int, kind: tuple[int, float, str], folder: Path
) -> Result:
    classes, exponent, policy = kind
    data = folder / f"{examples}-{width}-{classes}-{exponent}"
    paths = _child({"folder": str(data), "sizes": [examples, classes, exponent], "width": width})
    task = {"name": name, "paths": paths, "folder": str(folder / "out"), "width": width}
    try:
        result: Result = _child(task | {"policy": policy, "examples": examples})
    finally:
        shutil.rmtree(folder / "out", ignore_errors=True)
    return result


def _child(task: dict[str, Any]) -> Any:
    """What a process of its own says last."""
    command = [sys.executable, "-m", "benchmarks.pairs", "--child", json.dumps(task)]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=quiet)
    if done.returncode:
        raise ChildProcessError(f"ended with {done.returncode}: {done.stderr[-1000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _data(folder: str, sizes: tuple[int, int, float], width: int) -> list[str]:
    return make_data(Path(folder), class_sizes(*sizes), width)


def _run(
    name: str, paths: list[str], folder: str, width: int, policy: str, examples: int
) -> Result:
    import tensorflow as tf  # all read with it; its import is no part of the work

    settings = Pairs.model_validate({"policy": policy})
    contestant = importlib.import_module(f"benchmarks.pairs.{name}")
    tf.constant(0)
    start = time.perf_counter()
    pairs = contestant.run(paths, Path(folder), settings, width)
    seconds = time.perf_counter() - start
    written = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    share = 1.0
    if name == "copied_examples":  # some of the pairs only: as if on so many examples
        share = min(pairs / contestant.pairs_wanted(examples, settings), 1.0)
    return {
        "pairs": pairs,
        "seconds": seconds,
        "bytes": written,
        "peak": peak,
        "share": share,
    }


if __name__ == "__main__":
    main()
