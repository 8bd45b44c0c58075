"""What a run came to, read from ML Metadata and the artifacts it names."""

import dataclasses
import json
import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from diptych.pipeline.runs.outcome import PushedVersion, pushed_by
from diptych.pipeline.runs.records import ArtifactRecord, RunRecord
from diptych.schemas.balance import SplitBalance, Spread
from diptych.schemas.evaluation import Estimate, Evaluation
from diptych.schemas.shards import SPLITS, Manifest


@dataclasses.dataclass(frozen=True)
class Summary:
    """The outputs of a run that came to its end, those from the cache as well."""

    manifests: dict[str, Manifest]
    balance: dict[str, SplitBalance]
    difficulty: str
    num_rejected: int
    num_read: int
    rejected: Path
    left_out: dict[str, str]  # spans, and why
    drift: str  # of the newest span; empty where data do not come in spans
    evaluation: Evaluation
    curves: Path
    pushed: PushedVersion | None
    rolled_back: str | None  # the version that this very model was


def summarize(run: RunRecord) -> Summary:
    """Reads what the artifacts of a run say; it has come to its end."""

    def output(step: str, key: str) -> ArtifactRecord:
        found = run.output(step, key)
        assert found is not None  # each step has run, or was taken from the cache
        return found

    pairs, balance = output("PairGen", "pairs"), output("PairGen", "balance").path
    rejected = output("ExampleGen", "rejected")
    drift = run.output("SpanDrift", "anomalies")
    return Summary(
        manifests={split: Manifest.read(pairs.path / f"Split-{split}") for split in SPLITS},
        balance={split: SplitBalance.read(balance, split) for split in SPLITS},
        difficulty=pairs.properties["difficulty"],
        num_rejected=rejected.properties["num_rejected"],
        num_read=rejected.properties["num_read"],
        rejected=rejected.path,
        left_out=json.loads(rejected.properties.get("left_out", "{}")),
        drift=drift.properties["said"] if drift else "",
        evaluation=Evaluation.read(output("Evaluator", "evaluation").path),
        curves=output("Trainer", "training_log").path,
        pushed=pushed_by(run),
        rolled_back=output("Pusher", "pushed_model").properties.get("rolled_back"),
    )


def show(summary: Summary, report: Path | None, console: Console) -> None:
    """Prints the summary as two tables and a few lines.

    Args:
      summary: of a run.
      report: where its report is; None: there is none.
      console: to print on.
    """
    for table in (_pairs_table(summary), _balance_table(summary)):
        console.print()
        console.print(table)
    console.print()
    for note, splits in _notes(summary).items():
        _line(console, "Note", f"{', '.join(splits)}: {note}")
    if summary.difficulty != "random":  # asked for more: say whether it could be had
        _line(console, "Difficulty", summary.difficulty)
    reasons = f", reasons in {summary.rejected}" if summary.num_rejected else ""
    _line(
        *(console, "Set aside"),
        f"{summary.num_rejected:,} of {summary.num_read:,} rows or images{reasons}",
    )
    for name, reason in summary.left_out.items():
        _line(console, "Left out", f"the span {name}: {reason}", "yellow")
    if summary.drift:
        _line(console, "Newest span", summary.drift)
    _show_figures(summary.evaluation, console)
    _line(console, "Model", _model(summary))
    _line(console, "Report", "not built, the log says why" if report is None else str(report))
    _line(console, "Curves", f"tensorboard --logdir {summary.curves}")


def _model(summary: Summary) -> str:
    if summary.pushed is None:
        was = summary.rolled_back
        return f"not pushed: it was version {was}, which was rolled back" if was else "not pushed"
    if summary.pushed.rolled_back:
        return f"{summary.pushed.path} (rolled back)"
    return f"{summary.pushed.path}{'' if summary.pushed.there else ' (no longer there)'}"


def _line(console: Console, name: str, text: str, style: str = "") -> None:
    console.print(f"{name:<14}[{style or 'none'}]{escape(text)}[/]")


def _show_figures(evaluation: Evaluation, console: Console) -> None:
    """The figures of the test split, and the verdict with a line for each rule."""
    pairs = evaluation.pairs
    for name, at in (("fixed", pairs.fixed), ("calibrated", pairs.calibrated)):
        text = f"{share(at.accuracy)} at the {name} threshold {at.threshold:.3f}"
        _line(console, "Accuracy", text)
    auc, error = pairs.roc_auc.value, pairs.equal_error_rate
    _line(
        *(console, "ROC AUC"),
        f"{'-' if auc is None else f'{auc:.4f}'}, equal error rate {share(error)}, "
        f"on {pairs.pairs:,} test pairs",
    )
    if evaluation.all.retrieval is not None:
        found = evaluation.all.retrieval
        _line(console, "Recall@1", f"{share(found.recall_at_1)}, {found.queries:,} queries")
    for part in [part for part in evaluation.slices[1:] if part.few_shot] or [evaluation.all]:
        one_shot = [shot for shot in part.few_shot if shot.shots == 1]
        if one_shot:
            said = ", ".join(f"{share(shot.accuracy)} {shot.ways}-way" for shot in one_shot)
            _line(console, "One-shot", f"{said}, {part.name} classes")
    if evaluation.collapse is not None:
        _line(console, "Collapse", evaluation.collapse, "red")
    verdict = "[green]blessed[/]" if evaluation.blessed else "[red]not blessed[/]"
    # Those that decided against it come first.
    first, *others = [rule.text for rule in sorted(evaluation.rules, key=lambda rule: rule.holds)]
    console.print(f"Verdict       {verdict}: {escape(first)}")
    for text in others:
        _line(console, "", text)


def share(estimate: Estimate) -> str:
    """In per cent, with the interval if there is one."""
    if estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2%}"
    return f"{estimate.value:.2%} ({estimate.low:.2%} to {estimate.high:.2%})"


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
