"""What was read and what was set aside: counts, reasons, and the bar above which the run stops."""

from collections.abc import Iterable, Mapping

import pydantic

from diptych.components.example_gen.chunk import Chunk
from diptych.schemas.config.split import Split
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


class Reading(pydantic.BaseModel):
    """What came of all data.

    Attributes:
      spans: the counts of each span by its name, the newest last; of data that do not come in
        spans, one without a name.
      left_out: the older spans of which nothing is used, and why.
    """

    spans: dict[str, Summary]
    left_out: dict[str, str]

    @property
    def kept(self) -> Summary:
        """The counts of all that is used."""
        return Summary.total(
            summary for name, summary in self.spans.items() if name not in self.left_out
        )


def judge(spans: Mapping[str, Summary], max_rejected: float) -> Reading:
    """Leaves out each older span that would have stopped the run when it was the newest.

    Decided from the data alone, so every run of the same data leaves out the same.

    Args:
      spans: the newest last.
      max_rejected: share of its rows that a span may lose.
    """
    *older, _ = spans
    faults = {name: _fault(spans[name], max_rejected) for name in older}
    left_out = {name: fault for name, fault in faults.items() if fault is not None}
    return Reading(spans=dict(spans), left_out=left_out)


def check(reading: Reading, max_rejected: float, split: Split) -> None:
    """Stops the run if the data, or those of the newest span, cannot be used.

    Raises:
      DataError: a file could not be read, more than the share ``max_rejected`` was rejected, or
        a split has no examples; or no older span fits to the newest.
    """
    *older, newest = reading.spans
    fault = _fault(reading.spans[newest], max_rejected)
    if fault is not None:
        raise DataError(f"The newest span, {newest}: {fault}" if newest else fault)
    # What has changed tonight makes all others look wrong; with one other, none can tell.
    if len(older) > 1 and len(reading.left_out) == len(older):
        name = older[-1]
        raise DataError(
            f"None of the {len(older)} spans before can be used with the newest, {newest}. The one "
            f"before it, {name}: {reading.left_out[name]} If it is the newest that is otherwise, "
            "mend it; if it is to stay so, lower data.window, or write the others anew."
        )
    summary = reading.kept
    empty = [name for name, count in zip(SPLITS, summary.num_examples, strict=True) if not count]
    if empty:
        shares = f"train {split.train}, calibration {split.calibration}, test {split.test}"
        raise DataError(
            f"No examples in the split {' and '.join(empty)}: {sum(summary.num_examples)} examples,"
            f" split by {split.by}, shares {shares}. Change the shares or split.seed, or add data."
        )


def _fault(summary: Summary, max_rejected: float) -> str | None:
    """Why data cannot be used as they are."""
    if summary.failures:
        more = (
            f" ({len(summary.failures) - 1} more files too.)" if len(summary.failures) > 1 else ""
        )
        return summary.failures[0] + more
    if not summary.num_read:
        return "The data have no rows at all. Check data.path and how the data were written."
    share = summary.num_rejected / summary.num_read
    if share > max_rejected:
        return (
            f"{summary.num_rejected} of {summary.num_read} rows or images were rejected "
            f"({share:.2%}), above data.max_rejected ({max_rejected:.2%}): {_worst(summary)}. "
            "Repair the data, or raise data.max_rejected if they are expected."
        )
    return None


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
