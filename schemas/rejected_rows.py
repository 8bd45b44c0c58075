"""Rejected rows: Arrow schema, files of ExampleGen's ``rejected`` artifact, and counts."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pydantic

REJECTED_ROWS = pa.schema([("source", pa.string()), ("reason", pa.string())])
"""One row per rejected row or image: its source, and the reason."""

SUMMARY_FILE = "_summary.json"  # an IngestSummary; readers of Parquet folders skip such names


class RejectionReason(pydantic.BaseModel):
    """Number of rows rejected for one reason, and the first source by name."""

    count: int
    source: str


class IngestCounts(pydantic.BaseModel):
    """Counts of rows or images that were read, rejected and written.

    Attributes:
      num_read: Rows or images read, including rejected ones.
      num_rejected: Rejected rows or images.
      num_examples: Examples written to train, calibration and test.
      reasons: Count and source of each reason.
      failures: Files that could not be read at all. Any failure stops the run.
    """

    num_read: int = 0
    num_rejected: int = 0
    num_examples: tuple[int, int, int] = (0, 0, 0)
    reasons: dict[str, RejectionReason] = {}
    failures: list[str] = []

    @classmethod
    def total(cls, parts: Iterable["IngestCounts"]) -> "IngestCounts":
        """Add up counts. The result does not depend on their order."""
        total = cls()
        for part in parts:
            reasons = dict(total.reasons)
            for text, reason in part.reasons.items():
                add_reason(reasons, text, reason)
            training, calibration, test = (
                a + b for a, b in zip(total.num_examples, part.num_examples, strict=True)
            )
            total = cls(
                num_read=total.num_read + part.num_read,
                num_rejected=total.num_rejected + part.num_rejected,
                num_examples=(training, calibration, test),
                reasons=reasons,
                failures=sorted({*total.failures, *part.failures}),
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
        """Total counts of the spans that are used."""
        return IngestCounts.total(
            counts for name, counts in self.spans.items() if name not in self.skipped_spans
        )


def add_reason(reasons: dict[str, RejectionReason], text: str, reason: RejectionReason) -> None:
    """Add a count to ``reasons`` in place, and keep the first source by name."""
    previous = reasons.get(text)
    if previous is not None:
        reason = RejectionReason(
            count=previous.count + reason.count, source=min(previous.source, reason.source)
        )
    reasons[text] = reason


def rejected_rows_file(folder: Path, shard: int, num_shards: int) -> Path:
    """Path of one shard of rejected rows."""
    return folder / f"rejected-{shard:05d}-of-{num_shards:05d}.parquet"


def list_rejected_rows_files(folder: Path) -> list[Path]:
    """List the shards of rejected rows in the folder of the artifact, sorted by name."""
    return sorted(folder.glob("rejected-*.parquet"))


def to_rejected_table(rejected: Iterable[tuple[str, str]]) -> pa.Table:
    """Build a table of ``REJECTED_ROWS`` from pairs of source and reason."""
    rows = list(rejected)
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return pa.table(columns, schema=REJECTED_ROWS) if rows else REJECTED_ROWS.empty_table()
