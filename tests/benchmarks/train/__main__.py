"""Trains on the same digits with Diptych and in two usual ways, side by side.

Each runs in a process of its own, on the same two cores with two threads, and is judged on the same
held-out pairs after each epoch: accuracy at the best threshold. Then: what a second worker brings,
and how fast shards are read.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.train.course import THREADS, Result
from rich.console import Console
from rich.table import Table
from support.machine import machine

CONTESTANTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "diptych": ("Diptych", "diptych_trainer", {}),
    "keras": ("Keras, copied pairs", "keras_siamese", {}),
    "pytorch": ("PyTorch, contrastive", "pytorch_pk", {"loss": "ContrastiveLoss"}),
    "pytorch-ms": ("PyTorch, multi-sim.", "pytorch_pk", {"loss": "MultiSimilarityLoss"}),
}
MORE = ("workers", "reading")
_TARGETS = {"keras": 5, "pytorch": 1, "pytorch-ms": 1}  # times as fast to the goal
_TORCH = Path(__file__).parents[3] / ".tools" / "torch" / "bin" / "python"


def main() -> None:
    """Runs all."""
    parser = argparse.ArgumentParser(prog="make bench-train ARGS=", description=__doc__)
    parser.add_argument("--goal", type=float, default=0.97, help="accuracy of held-out pairs")
    parser.add_argument("--limit", type=float, default=60, help="seconds of training for each")
    parser.add_argument("--only", nargs="+", choices=[*CONTESTANTS, *MORE], default=[])
    arguments = parser.parse_args()
    only = arguments.only or [*CONTESTANTS, *MORE]
    cores = sorted(os.sched_getaffinity(0))[:THREADS]
    os.sched_setaffinity(0, cores)  # and all children

    console = Console(width=110)
    console.print(f"{machine()}; {len(cores)} cores, {THREADS} threads")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = _child("digits", folder)
        console.print(
            f"PairGen drew {made['pairs']:,.0f} pairs of {made['examples']:,.0f} digits in "
            f"{made['seconds']:.1f} s; {made['held_out_pairs']:,.0f} of the pairs are held out."
        )
        targets = _table("Targets", "", "target", "came")
        results = {}
        for name, (title, module, options) in CONTESTANTS.items():
            if name in only:
                told = _child(module, folder, limit_s=arguments.limit, **options)
                results[name] = Result(**told)
                console.print(f"{title}: {results[name].training:.0f} s of training")
        if results:
            console.print(_compared(results, arguments.goal))
            _judge(targets, results, arguments.goal)
        if "workers" in only:
            one, two = (_child("two_workers", folder, workers=workers) for workers in (1, 2))
            console.print(f"Examples/s, one worker on one core: {one:,.0f}; two on two: {two:,.0f}")
            targets.add_row("two workers on two cores, times one", "1.6", f"{two / one:.2f}")
        if "reading" in only:
            rate = _child("reading", folder)
            targets.add_row("examples/s read of 28 x 28 x 3", "500,000", f"{rate:,.0f}")
    console.print(targets)


def _compared(results: dict[str, Result], goal: float) -> Table:
    table = _table(
        f"To {goal:.0%} of held-out pairs",
        "",
        "seconds",
        "best %",
        "pairs/s",
        "examples/s",
        "input %",
        "pairs s",
        "set-up s",
        "imports s",
    )
    for name, result in results.items():
        seconds = result.seconds_to(goal)
        table.add_row(
            CONTESTANTS[name][0],
            "never" if seconds is None else f"{seconds:.1f}",
            f"{100 * result.best:.2f}",
            f"{result.pairs / result.training:,.0f}",
            f"{result.examples / result.training:,.0f}",
            f"{100 * result.input / result.training:.1f}",
            f"{result.pairs_made:.1f}" if result.pairs_made else "",
            f"{result.set_up:.1f}",
            f"{result.imports:.1f}",
        )
    return table


def _judge(targets: Table, results: dict[str, Result], goal: float) -> None:
    if "diptych" not in results:
        return
    ours = results["diptych"]
    for name, target in _TARGETS.items():
        if name in results:
            mine, theirs = ours.seconds_to(goal), results[name].seconds_to(goal)
            came = "never there"
            if mine is not None:
                longer = "" if theirs else "over "  # as long as it was trained
                came = f"{longer}{(theirs or results[name].training) / mine:.1f}"
            what = f"times as fast to {goal:.0%} as {CONTESTANTS[name][0]}"
            targets.add_row(what, str(target), came)
    targets.add_row("input, % of the time", "below 5", f"{100 * ours.input / ours.training:.1f}")


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(first, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _child(name: str, folder: Path, **arguments: Any) -> Any:
    """What a process of its own says last."""
    python = str(_TORCH) if name == "pytorch_pk" else sys.executable
    command = [python, "-m", "benchmarks.train.child", name, str(folder), json.dumps(arguments)]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=quiet)
    if done.returncode:
        raise ChildProcessError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
