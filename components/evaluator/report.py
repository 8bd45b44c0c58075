"""All figures of an evaluation, and the files that keep them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.evaluator import metrics
from diptych.components.evaluator.metrics import Judged
from diptych.components.evaluator.reconstructions import write_reconstructions
from diptych.components.evaluator.verdict import Verdict, judge
from diptych.schemas.evaluate import Evaluate
from diptych.schemas.shards import SplitPairs


def evaluate(
    candidate: Judged,
    threshold: float,
    baseline: tuple[Judged, float] | None,
    split: SplitPairs,
    settings: Evaluate,
    paired: bool,
) -> tuple[dict[str, Any], Verdict]:
    """Figures and verdict.

    Args:
      candidate: test pairs with the distances of the new model.
      threshold: the calibrated one of the new model.
      baseline: the same pairs with the distances of the model blessed before, and its threshold.
      split: the pairs' examples.
      settings: fixed threshold and bars.
      paired: data that came in pairs have no classes, and so no figures for them.
    """
    figures: dict[str, Any] = {
        "pairs": len(candidate.same),
        "same_pairs": int(candidate.same.sum()),
        "examples": candidate.num_examples,
        "roc_auc": metrics.roc_auc(candidate),
        "fixed": _at(candidate, settings.threshold, settings),
        "calibrated": _at(candidate, threshold, settings),
    }
    before = None
    if baseline is not None:
        before = metrics.accuracy(*baseline)
        figures["baseline"] = {"accuracy": before, "threshold": baseline[1]}
    if not paired:
        figures["classes"] = metrics.per_class(candidate, threshold, split.labels)
    verdict = judge(figures["calibrated"]["accuracy"], before, settings)
    figures["blessed"], figures["rules"] = verdict.blessed, list(verdict.rules)
    return figures, verdict


def _at(judged: Judged, threshold: float, settings: Evaluate) -> dict[str, Any]:
    return {
        "threshold": threshold,
        "accuracy": metrics.accuracy(judged, threshold),
        "interval": metrics.accuracy_interval(judged, threshold, settings.bootstrap, settings.seed),
        "confusion": metrics.confusion(judged, threshold),
    }


def write_evaluation(
    folder: Path,
    figures: dict[str, Any],
    judged: Judged,
    split: SplitPairs,
    reconstructions: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    """Writes ``evaluation.json``, ``report.md`` and ``pairs.parquet`` (ids, same, distance).

    Where the model has a decoder, the report shows inputs and their reconstructions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = as_markdown(figures)
    if reconstructions is not None:
        picture = write_reconstructions(folder, *reconstructions)
        report += "\n## Inputs, and below what the decoder makes of their embeddings\n"
        report += f"\n![inputs and reconstructions]({picture.name})\n"
    text = json.dumps(figures, indent=2) + "\n"
    (folder / "evaluation.json").write_text(text, encoding="utf-8")
    (folder / "report.md").write_text(report, encoding="utf-8")
    ids = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(split.ids.shape[1]), len(split.ids), [None, pa.py_buffer(split.ids.tobytes())]
    )
    table = pa.table(
        {
            "left": ids.take(pa.array(judged.left)),
            "right": ids.take(pa.array(judged.right)),
            "same": pa.array(judged.same, pa.int8()),
            "distance": pa.array(judged.distance, pa.float32()),
        }
    )
    pq.write_table(table, folder / "pairs.parquet")


def as_markdown(figures: dict[str, Any]) -> str:
    """The evaluation for people."""
    lines = [
        "# Evaluation on the test split",
        "",
        f"**{'Blessed' if figures['blessed'] else 'Not blessed'}**: {'; '.join(figures['rules'])}.",
        "",
        f"{figures['pairs']} pairs ({figures['same_pairs']} same) of {figures['examples']} "
        f"examples, ROC AUC {figures['roc_auc']:.4f}. Intervals are 95 %, by bootstrap over "
        "examples.",
        "",
        "| threshold | distance | accuracy | interval | same, called same | same, called different "
        "| different, called same | different, called different |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in ("fixed", "calibrated"):
        at = figures[name]
        low, high = at["interval"]
        counts = " | ".join(str(count) for count in at["confusion"].values())
        lines.append(
            f"| {name} | {at['threshold']:.4f} | {at['accuracy']:.2%} "
            f"| {low:.2%} to {high:.2%} | {counts} |"
        )
    if "classes" in figures:
        lines += [
            "",
            "## Classes, at the calibrated threshold",
            "",
            "| class | examples | pairs | accuracy | of same pairs | of different pairs |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for row in figures["classes"]:
            shares = " | ".join(
                "-" if row[key] is None else f"{row[key]:.2%}"
                for key in ("accuracy", "accuracy_same", "accuracy_different")
            )
            label = row["label"].replace("|", "\\|").replace("\n", " ")
            lines.append(f"| {label} | {row['examples']} | {row['pairs']} | {shares} |")
    return "\n".join(lines) + "\n"
