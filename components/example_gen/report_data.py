"""Build the data report, the rejected conflicts and the leaked ids from the plan of the splits."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from diptych.components.example_gen.corrections import (
    REMOVED_REASON,
    read_corrections,
    summarize_corrections,
)
from diptych.components.example_gen.duplicates import KINDS, Indices
from diptych.components.example_gen.records import BatchRecords, RecordTable, to_label_keys
from diptych.components.example_gen.split_plan import (
    REJECTED,
    SplitChanges,
    SplitPlan,
    plan_splits,
)
from diptych.schemas.config.data import DataConfig
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.data_report import (
    CONFLICT_REASON,
    Conflict,
    Corrections,
    DataReport,
    DuplicateCounts,
    DuplicateGroup,
    NamedExample,
)
from diptych.schemas.errors import DataError
from diptych.schemas.rejected_rows import IngestSummary, ReasonCount, add_reason_counts
from diptych.schemas.shards import ID_BYTES, SPLITS

_MAX_GROUPS = 20  # groups and conflicts in the report
_MAX_MEMBERS = 4  # of each


@dataclasses.dataclass(frozen=True)
class PlanOutputs:
    """Results of the plan of the splits.

    Attributes:
      report: The data report.
      rejected: Source and reason of each example with conflicting labels.
      leaked_ids: (n, 16) uint8, sorted and distinct.
      summary: The summary of the ingest, with the examples of each split and the conflicts.
    """

    report: DataReport
    rejected: list[tuple[str, str]]
    leaked_ids: npt.NDArray[np.uint8]
    summary: IngestSummary


def plan_and_report(
    batches: Sequence[BatchRecords], summary: IngestSummary, data: DataConfig, split: SplitConfig
) -> tuple[PlanOutputs, SplitChanges]:
    """Plan the splits of all examples, and build the outputs.

    If the examples cannot be divided, the reason is added to the failures of the newest span.
    """
    spans = [name for name in summary.spans if name not in summary.skipped_spans]
    corrections = _sum_corrections(batches, spans, summary, data)
    no_changes = SplitChanges(np.empty(0, np.uint64), np.empty(0, np.uint8))
    if not any(batch.num_examples for batch in batches if batch.span in spans):
        return empty_outputs(summary, corrections), no_changes
    table = RecordTable(batches)
    try:
        plan = plan_splits(table, spans, split)
    except DataError as error:
        failed = summary.spans[spans[-1]]
        update = {spans[-1]: failed.model_copy(update={"failures": [*failed.failures, str(error)]})}
        summary = summary.model_copy(update={"spans": {**summary.spans, **update}})
        return empty_outputs(summary, corrections), no_changes
    return build_outputs(table, plan, summary, corrections), plan.changes(table)


def _sum_corrections(
    batches: Sequence[BatchRecords], spans: Sequence[str], summary: IngestSummary, data: DataConfig
) -> Corrections | None:
    if data.corrections is None:
        return None
    used = [batch for batch in batches if batch.span in spans]
    removed = [summary.spans[span].ignored.get(REMOVED_REASON) for span in spans]
    relabelled: collections.Counter[str] = collections.Counter()
    for batch in used:
        relabelled.update(batch.relabelled)
    return summarize_corrections(
        read_corrections(data),
        {row for batch in used for row in batch.matched},
        relabelled.total(),
        sum(count.count for count in removed if count is not None),
        [] if data.kind == "pairs" else _find_new_labels(used, relabelled),
    )


def _find_new_labels(batches: Sequence[BatchRecords], relabelled: Mapping[str, int]) -> list[str]:
    """Return the corrected labels that only corrected examples have."""
    if not relabelled:
        return []
    names = sorted(relabelled)
    labels, counts = np.unique(
        np.concatenate([batch.read().labels for batch in batches]), return_counts=True
    )
    found = counts[np.searchsorted(labels, to_label_keys([name.encode() for name in names]))]
    return [name for name, count in zip(names, found, strict=True) if count == relabelled[name]]


def build_outputs(
    table: RecordTable, plan: SplitPlan, summary: IngestSummary, corrections: Corrections | None
) -> PlanOutputs:
    """Build the outputs of a plan."""
    counts = np.bincount(plan.splits[plan.used], minlength=len(SPLITS))[: len(SPLITS)]
    conflicts, rejected = _list_conflicts(table, plan)
    leaked = np.unique(np.concatenate(plan.leaked_sides))
    report = DataReport(
        num_examples=(int(counts[0]), int(counts[1]), int(counts[2])),
        num_moved=plan.num_moved,
        duplicates=tuple(_count_duplicates(plan)),
        groups=tuple(_list_groups(table, plan)),
        num_conflicts=len(plan.conflicts),
        conflicts=tuple(conflicts),
        num_leaked=len(leaked),
        pairs=plan.pairs,
        corrections=corrections,
    )
    return PlanOutputs(report, rejected, _leaked_ids(table, plan), _count(table, plan, summary))


def empty_outputs(summary: IngestSummary, corrections: Corrections | None) -> PlanOutputs:
    """Return the outputs if there is no example, or the plan failed."""
    report = DataReport(num_examples=(0, 0, 0), corrections=corrections)
    return PlanOutputs(report, [], np.empty((0, ID_BYTES), np.uint8), summary)


def _count_duplicates(plan: SplitPlan) -> list[DuplicateCounts]:
    across = _is_across_splits(plan)
    found = []
    for number, kind in enumerate(KINDS):
        of_kind = plan.groups.kinds == number
        if of_kind.any():
            found.append(
                DuplicateCounts(
                    kind=kind,
                    groups=int(of_kind.sum()),
                    examples=int(plan.groups.sizes[of_kind].sum()),
                    groups_across_splits=int((of_kind & across).sum()),
                )
            )
    return found


def _is_across_splits(plan: SplitPlan) -> npt.NDArray[np.bool_]:
    groups = plan.groups
    if not len(groups):
        return np.empty(0, bool)
    splits = plan.splits[groups.members]
    lowest = np.minimum.reduceat(splits, groups.starts[:-1])
    across: npt.NDArray[np.bool_] = lowest != np.maximum.reduceat(splits, groups.starts[:-1])
    return across


def _list_groups(table: RecordTable, plan: SplitPlan) -> list[DuplicateGroup]:
    """List groups in several splits first, then the largest; ties by the smallest id."""
    groups = plan.groups
    if not len(groups):
        return []
    smallest = np.minimum.reduceat(table.records.ids[groups.members], groups.starts[:-1])
    order = np.lexsort((smallest, -groups.sizes, ~_is_across_splits(plan)))
    listed = []
    for group in order[:_MAX_GROUPS]:
        members = groups.members[groups.starts[group] : groups.starts[group + 1]]
        listed.append(
            DuplicateGroup(
                kind=KINDS[groups.kinds[group]],
                num_examples=len(members),
                examples=_name_first(table, plan, members),
            )
        )
    return listed


def _name_first(table: RecordTable, plan: SplitPlan, rows: Indices) -> tuple[NamedExample, ...]:
    """Name the first examples by source. A huge group is cut by id before it is sorted."""
    if len(rows) > 1000:
        rows = rows[np.argsort(table.records.ids[rows], kind="stable")[:1000]]
    names = table.names(rows)
    named = [
        NamedExample(source=source, label=label, split=_split_name(int(plan.splits[row])))
        for source, label, row in zip(names.sources, names.labels, rows, strict=True)
    ]
    # One of each split first, so that the list shows what is across splits.
    named.sort(key=lambda example: example.source)
    firsts = {example.split: example for example in reversed(named)}
    rest = [example for example in named if firsts[example.split] is not example]
    shown = [*firsts.values(), *rest][:_MAX_MEMBERS]
    return tuple(sorted(shown, key=lambda example: example.source))


def _split_name(split: int) -> str:
    return "" if split == REJECTED else SPLITS[split]


def _list_conflicts(
    table: RecordTable, plan: SplitPlan
) -> tuple[list[Conflict], list[tuple[str, str]]]:
    """Return the first conflicts by source, and the reason of each rejected example."""
    if not len(plan.conflicts):
        return [], []
    names = table.names(plan.conflicts)
    starts = np.flatnonzero(np.diff(plan.conflict_groups, prepend=-1)).tolist()
    ends = [*starts[1:], len(plan.conflicts)]
    conflicts: list[Conflict] = []
    rejected: list[tuple[str, str]] = []
    for start, end in zip(starts, ends, strict=True):
        members = sorted(
            zip(names.sources[start:end], names.labels[start:end], strict=True),
        )
        first_of_label = _first_of_each_label(members)
        for source, label in members:
            other_source, other = min(
                (named, text) for text, named in first_of_label.items() if text != label
            )
            rejected.append(
                (
                    source,
                    f"has the label {label!r}, but its content has {other!r} in {other_source}",
                )
            )
        shown = sorted((source, label) for label, source in first_of_label.items())
        conflicts.append(
            Conflict(
                num_examples=len(members),
                examples=tuple(
                    NamedExample(source=source, label=label)
                    for source, label in shown[:_MAX_MEMBERS]
                ),
            )
        )
    conflicts.sort(key=lambda conflict: conflict.examples[0].source)
    return conflicts[:_MAX_GROUPS], sorted(rejected)


def _first_of_each_label(members: Sequence[tuple[str, str]]) -> dict[str, str]:
    first: dict[str, str] = {}
    for source, label in members:
        first.setdefault(label, source)
    return first


def _leaked_ids(table: RecordTable, plan: SplitPlan) -> npt.NDArray[np.uint8]:
    found = []
    for side, rows in enumerate(plan.leaked_sides):
        found.append(table.names(rows).ids[side])
    ids = np.concatenate(found)
    return np.unique(ids, axis=0) if len(ids) else ids


def _count(table: RecordTable, plan: SplitPlan, summary: IngestSummary) -> IngestSummary:
    """Add the examples of each split and the rejected conflicts to the counts of each span."""
    counts = {name: np.zeros(REJECTED + 1, np.int64) for name in summary.spans}
    for span, rows in table.spans():
        if plan.used[rows].all():
            counts[span] += np.bincount(plan.splits[rows], minlength=REJECTED + 1)
    rejected_of_span: dict[str, str] = {}
    if len(plan.conflicts):
        names = table.names(plan.conflicts)
        for source in names.sources:
            span = next((name for name in summary.spans if source.startswith(f"{name}/")), "")
            rejected_of_span[span] = min(rejected_of_span.get(span, source), source)
    spans = {}
    for name, of_span in summary.spans.items():
        training, calibration, test, rejected = (int(count) for count in counts[name])
        update: dict[str, object] = {"num_examples": (training, calibration, test)}
        if rejected:
            first = rejected_of_span.get(name, "")
            added = {CONFLICT_REASON: ReasonCount(count=rejected, source=first)}
            update["num_rejected"] = of_span.num_rejected + rejected
            update["reasons"] = add_reason_counts(of_span.reasons, added)
        spans[name] = of_span.model_copy(update=update)
    return summary.model_copy(update={"spans": spans})
