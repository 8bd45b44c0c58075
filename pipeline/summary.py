"""What a run came to, read from ML Metadata and the artifacts it names."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from diptych.schemas.balance import SplitBalance, Spread
from diptych.schemas.shards import SPLITS, Manifest


@dataclasses.dataclass(frozen=True)
class Summary:
    """The outputs of the latest execution of each step, cached or not."""

    manifests: dict[str, Manifest]
    balance: dict[str, SplitBalance]
    difficulty: str
    num_rejected: int
    num_read: int
    rejected: Path
    evaluation: dict[str, Any]
    report: Path
    curves: Path
    pushed: Path | None


def summarize(database: Path, pipeline: str) -> Summary:
    """Reads the summary of the latest run.

    Args:
      database: the SQLite file of ML Metadata.
      pipeline: its name.
    """
    output = outputs(database, pipeline)
    pair_set = output("PairGen", "pairs")
    pairs = Path(pair_set.uri)
    balance = Path(output("PairGen", "balance").uri)
    rejected = output("ExampleGen", "rejected")
    evaluation = Path(output("Evaluator", "evaluation").uri)
    pushed = output("Pusher", "pushed_model").custom_properties
    return Summary(
        manifests={split: Manifest.read(pairs / f"Split-{split}") for split in SPLITS},
        balance={split: SplitBalance.read(balance, split) for split in SPLITS},
        difficulty=pair_set.custom_properties["difficulty"].string_value,
        num_rejected=rejected.custom_properties["num_rejected"].int_value,
        num_read=rejected.custom_properties["num_read"].int_value,
        rejected=Path(rejected.uri),
        evaluation=json.loads((evaluation / "evaluation.json").read_text(encoding="utf-8")),
        report=evaluation / "report.md",
        curves=Path(output("Trainer", "training_log").uri),
        pushed=Path(pushed["pushed_destination"].string_value)
        if pushed["pushed"].int_value
        else None,
    )


def outputs(database: Path, pipeline: str) -> Callable[[str, str], metadata_store_pb2.Artifact]:
    """Looks up what the latest execution of a step, cached or not, gave under a key."""
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(database)
    connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    store = metadata_store.MetadataStore(connection)

    def output(step: str, key: str) -> metadata_store_pb2.Artifact:
        context = store.get_context_by_type_and_name("node", f"{pipeline}.{step}")
        execution = max(store.get_executions_by_context(context.id), key=lambda e: e.id)
        ends = (metadata_store_pb2.Event.OUTPUT,)
        for event in store.get_events_by_execution_ids([execution.id]):
            if event.type in ends and event.path.steps[0].key == key:
                return store.get_artifacts_by_id([event.artifact_id])[0]
        raise KeyError(f"{step} has no output {key}")

    return output


def show(summary: Summary, console: Console) -> None:
    """Prints the summary as two tables and a few lines."""
    figures = summary.evaluation
    for table in (_pairs_table(summary), _balance_table(summary)):
        console.print()
        console.print(table)
    console.print()
    for note, splits in _notes(summary).items():
        console.print(f"Note          {', '.join(splits)}: {escape(note)}")
    if summary.difficulty != "random":  # asked for more: say whether it could be had
        console.print(f"Difficulty    {escape(summary.difficulty)}")
    reasons = f", reasons in {escape(str(summary.rejected))}" if summary.num_rejected else ""
    console.print(
        f"Set aside     {summary.num_rejected:,} of {summary.num_read:,} rows or images{reasons}"
    )
    for name in ("fixed", "calibrated"):
        at = figures[name]
        low, high = at["interval"]
        console.print(
            f"Accuracy      {at['accuracy']:.2%} at the {name} threshold {at['threshold']:.3f} "
            f"(95 % interval {low:.2%} to {high:.2%})"
        )
    console.print(f"ROC AUC       {figures['roc_auc']:.4f}, on {figures['pairs']:,} test pairs")
    verdict = "[green]blessed[/]" if figures["blessed"] else "[red]not blessed[/]"
    console.print(f"Verdict       {verdict}: {escape('; '.join(figures['rules']))}")
    if summary.pushed is None:
        console.print("Model         not pushed")
    else:
        gone = "" if summary.pushed.exists() else " (no longer there)"
        console.print(f"Model         {escape(str(summary.pushed))}{gone}")
    console.print(f"Report        {escape(str(summary.report))}")
    console.print(f"Curves        {escape(str(summary.curves))}")


def _pairs_table(summary: Summary) -> Table:
    table = _table(
        *("split", "examples", "classes", "singletons", "same pairs", "different", "triplets")
    )
    for split, manifest in summary.manifests.items():
        classes = summary.balance[split].classes  # None: the data came in pairs
        table.add_row(
            split,
            f"{manifest.num_examples:,}",
            f"{classes.num_classes:,}" if classes else "-",
            f"{classes.num_singletons:,}" if classes else "-",
            f"{manifest.num_same:,}",
            f"{manifest.num_different:,}",
            f"{manifest.num_triplets:,}",
        )
    return table


def _balance_table(summary: Summary) -> Table:
    spread = "min / median / max"
    table = _table(
        "balance",
        f"examples a class\n{spread}",
        f"pairs a class\n{spread}",
        "repeats\nmean / max",
        "in a pair",
    )
    for split, balance in summary.balance.items():
        classes = balance.classes
        table.add_row(
            split,
            _spread(classes.examples) if classes else "-",
            _spread(classes.pairs) if classes else "-",
            f"{balance.repeats_mean:.1f} / {balance.repeats_max}",
            f"{math.floor(balance.coverage * 1000) / 10:.1f} %",  # 100 is the whole, not nearly
        )
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    return table


def _spread(spread: Spread) -> str:
    return " / ".join(_short(number) for number in (spread.min, spread.median, spread.max))


def _short(number: float) -> str:
    """At most six characters, whole below ten thousand."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= max(size, 1e4):
            return f"{number / size:,.{1 if number < 100 * size else 0}f}{unit}"
    return f"{number:,.0f}"


def _notes(summary: Summary) -> dict[str, list[str]]:
    """The splits that have a note, for each note."""
    notes: dict[str, list[str]] = {}
    for split, balance in summary.balance.items():
        for note in balance.notes:
            notes.setdefault(note, []).append(split)
    return notes
