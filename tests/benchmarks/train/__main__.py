"""Train on the same digits with Diptych, a typical Keras script and PyTorch, and compare.

Each implementation runs in a separate process, on the same two cores with two threads. After each
epoch it is evaluated on the same held-out pairs: accuracy at the best threshold. The speed-up by a
second worker and the speed of reading shards are measured as well.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.train.protocol import THREADS, Measurement
from rich.console import Console
from rich.table import Table
from support.machine import describe_machine

IMPLEMENTATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "diptych": ("Diptych", "diptych_trainer", {}),
    "keras": ("Keras, copied pairs", "keras_siamese", {}),
    "pytorch": ("PyTorch, contrastive", "pytorch_pk", {"loss": "ContrastiveLoss"}),
    "pytorch-ms": ("PyTorch, multi-sim.", "pytorch_pk", {"loss": "MultiSimilarityLoss"}),
}
OTHER_BENCHMARKS = ("workers", "reading")
_TARGETS = {"keras": 5, "pytorch": 1, "pytorch-ms": 1}  # speed-up in reaching the goal
_TORCH = Path(__file__).parents[3] / ".tools" / "torch" / "bin" / "python"


def main() -> None:
    """Run the selected benchmarks and print tables."""
    parser = argparse.ArgumentParser(prog="make bench-train ARGS=", description=__doc__)
    parser.add_argument("--goal", type=float, default=0.97, help="accuracy of held-out pairs")
    parser.add_argument(
        "--limit", type=float, default=60, help="seconds of training per implementation"
    )
    parser.add_argument(
        "--only", nargs="+", choices=[*IMPLEMENTATIONS, *OTHER_BENCHMARKS], default=[]
    )
    arguments = parser.parse_args()
    only = arguments.only or [*IMPLEMENTATIONS, *OTHER_BENCHMARKS]
    cores = sorted(os.sched_getaffinity(0))[:THREADS]
    os.sched_setaffinity(0, cores)  # inherited by child processes

    console = Console(width=110)
    console.print(f"{describe_machine()}; {len(cores)} cores, {THREADS} threads")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        counts = _run_child("digits", folder)
        console.print(
            f"PairGen sampled {counts['pairs']:,.0f} pairs of {counts['examples']:,.0f} digits in "
            f"{counts['seconds']:.1f} s; {counts['held_out_pairs']:,.0f} of them are held out."
        )
        targets = _make_table("Targets", "", "target", "measured")
        measurements = {}
        for name, (title, module, options) in IMPLEMENTATIONS.items():
            if name in only:
                fields = _run_child(module, folder, limit_s=arguments.limit, **options)
                measurements[name] = Measurement(**fields)
                console.print(f"{title}: {measurements[name].training:.0f} s of training")
        if measurements:
            console.print(_comparison_table(measurements, arguments.goal))
            _add_targets(targets, measurements, arguments.goal)
        if "workers" in only:
            one, two = (_run_child("two_workers", folder, num_workers=count) for count in (1, 2))
            console.print(f"Examples/s, one worker on one core: {one:,.0f}; two on two: {two:,.0f}")
            targets.add_row(
                "speed-up by a second worker on a second core", "1.6", f"{two / one:.2f}"
            )
        if "reading" in only:
            rate = _run_child("reading", folder)
            targets.add_row("examples/s read, 28 x 28 x 3", "500,000", f"{rate:,.0f}")
    console.print(targets)


def _comparison_table(measurements: dict[str, Measurement], goal: float) -> Table:
    table = _make_table(
        f"Training to {goal:.0%} accuracy on held-out pairs",
        "",
        "seconds",
        "best %",
        "pairs/s",
        "examples/s",
        "input %",
        "pairs s",
        "setup s",
        "imports s",
    )
    for name, measurement in measurements.items():
        seconds = measurement.seconds_to(goal)
        table.add_row(
            IMPLEMENTATIONS[name][0],
            "never" if seconds is None else f"{seconds:.1f}",
            f"{100 * measurement.best:.2f}",
            f"{measurement.pairs / measurement.training:,.0f}",
            f"{measurement.examples / measurement.training:,.0f}",
            f"{100 * measurement.input / measurement.training:.1f}",
            f"{measurement.pairs_made:.1f}" if measurement.pairs_made else "",
            f"{measurement.set_up:.1f}",
            f"{measurement.imports:.1f}",
        )
    return table


def _add_targets(targets: Table, measurements: dict[str, Measurement], goal: float) -> None:
    if "diptych" not in measurements:
        return
    diptych = measurements["diptych"]
    for name, target in _TARGETS.items():
        if name in measurements:
            seconds, other_seconds = diptych.seconds_to(goal), measurements[name].seconds_to(goal)
            speed_up = "not reached"
            if seconds is not None:
                # If the other did not reach the goal, its training time is a lower bound.
                bound = "" if other_seconds else "over "
                ratio = (other_seconds or measurements[name].training) / seconds
                speed_up = f"{bound}{ratio:.1f}"
            description = f"speed-up to {goal:.0%} over {IMPLEMENTATIONS[name][0]}"
            targets.add_row(description, str(target), speed_up)
    input_percent = 100 * diptych.input / diptych.training
    targets.add_row("waiting for input, % of the time", "below 5", f"{input_percent:.1f}")


def _make_table(title: str, first: str, *columns: str) -> Table:
    table = Table(first, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _run_child(name: str, folder: Path, **arguments: Any) -> Any:
    """Run a module in a child process; return the JSON in the last line of its output."""
    python = str(_TORCH) if name == "pytorch_pk" else sys.executable
    command = [python, "-m", "benchmarks.train.child", name, str(folder), json.dumps(arguments)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    completed = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment
    )
    if completed.returncode:
        raise ChildProcessError(
            f"{name} ended with {completed.returncode}: {completed.stderr[-2000:]}"
        )
    return json.loads(completed.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
