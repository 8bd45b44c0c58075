"""Count rejected rows, skip unusable older spans, and stop the run if too many were rejected."""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from diptych.components.example_gen.corrections import REMOVED_REASON, CorrectedBatch
from diptych.components.example_gen.example_batch import ExampleBatch
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.data_report import CONFLICT_REASON, KIND_TEXTS, DataReport
from diptych.schemas.errors import DataError
from diptych.schemas.rejected_rows import (
    IngestCounts,
    IngestSummary,
    ReasonCount,
    count_reasons,
    most_frequent,
)
from diptych.schemas.shards import SPLITS

_MAX_REASONS_SHOWN = 5
_MAX_CONFLICTS_SHOWN = 3


def count_batch(batch: ExampleBatch, corrected: CorrectedBatch) -> IngestCounts:
    """Count the rows of a batch, before and after corrections.

    The examples of each split are counted when it is known.
    """
    removed = {} if corrected.removed is None else {REMOVED_REASON: corrected.removed}
    counts = count_rejected(batch.rejected)
    return counts.model_copy(
        update={
            "num_read": batch.features.num_rows + counts.num_rejected,
            "findings": count_reasons(batch.findings),
            "ignored": removed,
            "constants": _find_constants(batch.features),
        }
    )


def _find_constants(features: pa.RecordBatch) -> dict[str, float] | None:
    """Return the features of one number that have the same value in all rows."""
    if not features.num_rows:
        return None
    constants: dict[str, float] = {}
    for name in features.schema.names:
        values = features.column(name).flatten()
        if pa.types.is_float32(values.type) and len(values) == features.num_rows:
            numbers = values.to_numpy()
            if numbers[0] == numbers[-1] and (numbers == numbers[0]).all():
                constants[name] = float(numbers[0])
    return constants


def count_rejected(rejected: Iterable[tuple[str, str]]) -> IngestCounts:
    """Count rows or files that were all rejected, given as source and reason."""
    rejected = list(rejected)
    return IngestCounts(
        num_read=len(rejected), num_rejected=len(rejected), reasons=count_reasons(rejected)
    )


def skip_unusable_spans(spans: Mapping[str, IngestCounts], max_rejected: float) -> IngestSummary:
    """Skip each older span that would have stopped the run if it were the newest.

    The decision depends on the data alone, so every run on the same data skips the same spans.

    Args:
      spans: Counts by span name, newest last.
      max_rejected: Maximum fraction of rejected rows in a span.
    """
    *older, _ = spans
    problems = {name: _find_problem(spans[name], max_rejected) for name in older}
    skipped = {name: problem for name, problem in problems.items() if problem is not None}
    return IngestSummary(spans=dict(spans), skipped_spans=skipped)


def check_conflicts(report: DataReport, max_conflicts: float) -> None:
    """Stop the run if too many examples have conflicting labels.

    Raises:
      DataError: If they are more than the fraction ``max_conflicts``.
    """
    num_examples = sum(report.num_examples) + report.num_conflicts
    if not report.num_conflicts or report.num_conflicts / num_examples <= max_conflicts:
        return
    shown = "; ".join(
        " and ".join(f"{example.label!r} ({example.source})" for example in conflict.examples)
        for conflict in report.conflicts[:_MAX_CONFLICTS_SHOWN]
    )
    raise DataError(
        f"{report.num_conflicts:,} of {num_examples:,} examples "
        f"({report.num_conflicts / num_examples:.2%}) have the same content as an example with "
        f"another label, above data.max_conflicts ({max_conflicts:.2%}). The first: {shown}. "
        "Correct the labels (data.corrections), or raise data.max_conflicts to reject these "
        "examples."
    )


def check_ingest(
    summary: IngestSummary, report: DataReport, max_rejected: float, split: SplitConfig
) -> None:
    """Stop the run if the data, or the newest span, cannot be used.

    Args:
      summary: Counts of the rows.
      report: Duplicates, which may explain an empty split.
      max_rejected: Maximum fraction of rejected rows.
      split: Configuration of the splits.

    Raises:
      DataError: If a file could not be read, more than ``max_rejected`` was rejected, a split has
        no examples, or no older span matches the newest.
    """
    *older, newest = summary.spans
    problem = _find_problem(summary.spans[newest], max_rejected)
    if problem is not None:
        raise DataError(f"The newest span, {newest}: {problem}" if newest else problem)
    # If the newest span changed its format, all others look wrong. With a single older span it is
    # undecidable which of the two is wrong.
    if len(older) > 1 and len(summary.skipped_spans) == len(older):
        previous = older[-1]
        raise DataError(
            f"None of the {len(older)} older spans can be used together with the newest, {newest}. "
            f"The one before it, {previous}: {summary.skipped_spans[previous]} If the newest span "
            "is wrong, repair it. If its format changed on purpose, lower data.window or rewrite "
            "the older spans."
        )
    used = summary.used
    empty = [name for name, count in zip(SPLITS, used.num_examples, strict=True) if not count]
    if empty:
        fractions = f"train {split.train}, calibration {split.calibration}, test {split.test}"
        raise DataError(
            f"No examples in the split {' and '.join(empty)}: {sum(used.num_examples)} examples, "
            f"split by {split.by}, fractions {fractions}. {_describe_largest_group(report)}"
            "Change the fractions or split.seed, or add data."
        )


def _describe_largest_group(report: DataReport) -> str:
    """Describe the largest group of duplicates if it may explain an empty split."""
    group = max(report.groups, key=lambda group: group.num_examples, default=None)
    if not report.num_moved or group is None:
        return ""
    sources = " and ".join(example.source for example in group.examples[:2])
    return (
        f"{group.num_examples:,} examples are duplicates ({KIND_TEXTS[group.kind]}), such as "
        f"{sources}, and stay together. If they are different, set split.duplicates to separate. "
    )


def _find_problem(counts: IngestCounts, max_rejected: float) -> str | None:
    """Describe why a span cannot be used, or return None."""
    if counts.failures:
        num_more = len(counts.failures) - 1
        return counts.failures[0] + (f" ({num_more} more files failed too.)" if num_more else "")
    if not counts.num_read:
        return "The data have no rows. Check data.path and how the data were written."
    reasons = {text: count for text, count in counts.reasons.items() if text != CONFLICT_REASON}
    num_rejected = sum(reason.count for reason in reasons.values())  # conflicts: check_conflicts
    rejected_fraction = num_rejected / counts.num_read
    if rejected_fraction > max_rejected:
        return (
            f"{num_rejected} of {counts.num_read} rows or images were rejected "
            f"({rejected_fraction:.2%}), above data.max_rejected ({max_rejected:.2%}): "
            f"{_format_reasons(reasons)}. "
            "Repair the data, or raise data.max_rejected if they are expected."
        )
    return None


def _format_reasons(reasons: Mapping[str, ReasonCount]) -> str:
    """Format the most frequent reasons."""
    ordered = most_frequent(reasons)
    shown = [
        f"{reason.count} x {text} (as {reason.source})"
        for text, reason in ordered[:_MAX_REASONS_SHOWN]
    ]
    num_more = len(ordered) - _MAX_REASONS_SHOWN
    more = [f"{num_more} more reasons"] if num_more > 0 else []
    return "; ".join(shown + more)
