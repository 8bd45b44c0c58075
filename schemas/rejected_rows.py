"""Rejected rows: Arrow schema, files of ExampleGen's ``rejected`` artifact, and counts.

*Rejected* rows or images are data that cannot be used. *Ignored* is what the run does not use by
design: files that are not data, columns without a role, path levels. *Findings* are observations
about accepted examples.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pydantic

REJECTED_ROWS = pa.schema([("source", pa.string()), ("reason", pa.string())])
"""One row per rejected row or image: its source, and the reason."""

CONSTANT_COLUMN = "number column with the same value in every row, which tells nothing"

SUMMARY_FILE = "_summary.json"  # an IngestSummary; readers of Parquet folders skip such names


class ReasonCount(pydantic.BaseModel):
    """Number of rows, files or columns with the same reason, and the first by name."""

    count: int
    source: str


class IngestCounts(pydantic.BaseModel):
    """Counts of rows or images that were read, rejected and written.

    Attributes:
      num_read: Rows or images read, including rejected ones.
      num_rejected: Rejected rows or images.
      num_examples: Examples written to train, calibration and test.
      reasons: Rejected rows by reason.
      ignored: Files, columns and path levels that are not used, by reason. They are not rejected.
      findings: Accepted examples by observation.
      failures: Files that could not be read at all. Any failure stops the run.
      constants: Single-number features with the same value in all examples; None without examples.
    """

    num_read: int = 0
    num_rejected: int = 0
    num_examples: tuple[int, int, int] = (0, 0, 0)
    reasons: dict[str, ReasonCount] = {}
    ignored: dict[str, ReasonCount] = {}
    findings: dict[str, ReasonCount] = {}
    failures: list[str] = []
    constants: dict[str, float] | None = None

    @classmethod
    def total(cls, parts: Iterable["IngestCounts"]) -> "IngestCounts":
        """Add up counts. The result does not depend on their order."""
        total = cls()
        for part in parts:
            training, calibration, test = (
                a + b for a, b in zip(total.num_examples, part.num_examples, strict=True)
            )
            total = cls(
                num_read=total.num_read + part.num_read,
                num_rejected=total.num_rejected + part.num_rejected,
                num_examples=(training, calibration, test),
                reasons=add_reason_counts(total.reasons, part.reasons),
                ignored=add_reason_counts(total.ignored, part.ignored),
                findings=add_reason_counts(total.findings, part.findings),
                failures=sorted({*total.failures, *part.failures}),
                constants=_common_constants(total.constants, part.constants),
            )
        return total


class IngestSummary(pydantic.BaseModel):
    """Counts of all data, ``_summary.json``.

    Attributes:
      spans: Counts by span name, newest span last. Data without spans have one entry, named "".
      skipped_spans: Older spans that are not used, each with the reason.
    """

    spans: dict[str, IngestCounts]
    skipped_spans: dict[str, str]

    @property
    def used(self) -> IngestCounts:
        """Total counts of the spans that are used; constant features are a finding."""
        total = IngestCounts.total(
            counts for name, counts in self.spans.items() if name not in self.skipped_spans
        )
        constant = count_reasons((name, CONSTANT_COLUMN) for name in total.constants or ())
        return total.model_copy(update={"findings": {**total.findings, **constant}})

    @classmethod
    def read(cls, folder: Path) -> "IngestSummary":
        """Read ``_summary.json`` from the folder of the artifact."""
        return cls.model_validate_json((folder / SUMMARY_FILE).read_bytes())


def most_frequent(counts: Mapping[str, ReasonCount]) -> list[tuple[str, ReasonCount]]:
    """Sort counts: the most frequent reason first, equally frequent ones by text."""
    return sorted(counts.items(), key=lambda item: (-item[1].count, item[0]))


def count_reasons(sources: Iterable[tuple[str, str]]) -> dict[str, ReasonCount]:
    """Count pairs of source and reason by reason."""
    by_reason: dict[str, list[str]] = {}
    for source, reason in sources:
        by_reason.setdefault(reason, []).append(source)
    return {
        reason: ReasonCount(count=len(named), source=min(named))
        for reason, named in by_reason.items()
    }


def add_reason_counts(
    left: Mapping[str, ReasonCount], right: Mapping[str, ReasonCount]
) -> dict[str, ReasonCount]:
    """Add counts by reason; keep the first source by name."""
    total = dict(left)
    for reason, added in right.items():
        previous = total.get(reason)
        total[reason] = (
            added
            if previous is None
            else ReasonCount(
                count=previous.count + added.count, source=min(previous.source, added.source)
            )
        )
    return total


def _common_constants(
    left: Mapping[str, float] | None, right: Mapping[str, float] | None
) -> dict[str, float] | None:
    """Return the constants of two groups of examples together; None is a group without examples."""
    if left is None or right is None:
        only = right if left is None else left
        return None if only is None else dict(only)
    return {name: value for name, value in left.items() if right.get(name) == value}


def rejected_rows_file(folder: Path, shard: int, num_shards: int) -> Path:
    """Path of one shard of rejected rows."""
    return folder / f"rejected-{shard:05d}-of-{num_shards:05d}.parquet"


def to_rejected_table(rejected: Iterable[tuple[str, str]]) -> pa.Table:
    """Build a table of ``REJECTED_ROWS`` from pairs of source and reason."""
    rows = list(rejected)
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return pa.table(columns, schema=REJECTED_ROWS) if rows else REJECTED_ROWS.empty_table()
