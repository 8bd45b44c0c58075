"""What was read and what was set aside: counts, reasons, and the bar above which the run stops."""

from collections.abc import Iterable

import pydantic

from diptych.components.example_gen.chunk import Chunk
from diptych.schemas.config import Split
from diptych.schemas.errors import DataError
from diptych.schemas.shards import SPLITS

_SHOWN = 5  # reasons in the message of the error


class Reason(pydantic.BaseModel):
    """How often a reason was given, and one source of it (the first by name)."""

    count: int
    source: str


class Summary(pydantic.BaseModel):
    """Counts of a run, or of a part of it: sums that can be added in any order.

    ``failures`` are files that could not be read at all: any of them stops the run.
    """

    num_read: int = 0
    num_rejected: int = 0
    num_examples: tuple[int, int, int] = (0, 0, 0)  # training, calibration, test
    reasons: dict[str, Reason] = {}
    failures: list[str] = []

    @classmethod
    def of(cls, chunk: Chunk, num_examples: Iterable[int]) -> "Summary":
        """Counts of one chunk."""
        training, calibration, test = num_examples
        rejected = len(chunk.rejected)
        return cls(
            num_read=chunk.features.num_rows + rejected,
            num_rejected=rejected,
            num_examples=(training, calibration, test),
            reasons=_count(chunk.rejected),
        )

    @classmethod
    def of_rejected(cls, rejected: Iterable[tuple[str, str]]) -> "Summary":
        """Counts of files that were never opened."""
        rejected = list(rejected)
        return cls(num_read=len(rejected), num_rejected=len(rejected), reasons=_count(rejected))

    @classmethod
    def total(cls, parts: Iterable["Summary"]) -> "Summary":
        """The sum; the same in any order."""
        total = cls()
        for part in parts:
            reasons = dict(total.reasons)
            for text, reason in part.reasons.items():
                _add(reasons, text, reason)
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


def check(summary: Summary, max_rejected: float, split: Split) -> None:
    """Stops the run if the data cannot be used.

    Raises:
      DataError: a file could not be read, more than the share ``max_rejected`` was rejected, or
        a split has no examples.
    """
    if summary.failures:
        more = (
            f" ({len(summary.failures) - 1} more files too.)" if len(summary.failures) > 1 else ""
        )
        raise DataError(summary.failures[0] + more)
    if not summary.num_read:
        raise DataError(
            "The data have no rows at all. Check data.path and how the data were written."
        )
    share = summary.num_rejected / summary.num_read
    if share > max_rejected:
        raise DataError(
            f"{summary.num_rejected} of {summary.num_read} rows or images were rejected "
            f"({share:.2%}), above data.max_rejected ({max_rejected:.2%}): {_worst(summary)}. "
            "Repair the data, or raise data.max_rejected if they are expected."
        )
    empty = [name for name, count in zip(SPLITS, summary.num_examples, strict=True) if not count]
    if empty:
        shares = f"train {split.train}, calibration {split.calibration}, test {split.test}"
        raise DataError(
            f"No examples in the split {' and '.join(empty)}: {sum(summary.num_examples)} examples,"
            f" split by {split.by}, shares {shares}. Change the shares or split.seed, or add data."
        )


def _worst(summary: Summary) -> str:
    ordered = sorted(summary.reasons.items(), key=lambda item: (-item[1].count, item[0]))
    shown = [f"{reason.count} x {text} (as {reason.source})" for text, reason in ordered[:_SHOWN]]
    more = [f"{len(ordered) - _SHOWN} more reasons"] if len(ordered) > _SHOWN else []
    return "; ".join(shown + more)


def _count(rejected: Iterable[tuple[str, str]]) -> dict[str, Reason]:
    reasons: dict[str, Reason] = {}
    for source, text in rejected:
        _add(reasons, text, Reason(count=1, source=source))
    return reasons


def _add(reasons: dict[str, Reason], text: str, reason: Reason) -> None:
    known = reasons.get(text)
    if known is None:
        reasons[text] = reason
    else:
        reasons[text] = Reason(
            count=known.count + reason.count, source=min(known.source, reason.source)
        )
