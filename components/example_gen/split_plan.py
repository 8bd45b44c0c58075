"""Plan the splits of all examples from their records."""

import dataclasses
import io
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from diptych.components.example_gen.records import ExampleRecords
from diptych.schemas.rejected_rows import IngestSummary
from diptych.schemas.shards import SPLITS


@dataclasses.dataclass(frozen=True)
class SplitPlan:
    """Splits of the examples that are not in the split assigned from their row alone.

    Attributes:
      keys: (n,) uint64 keys of the rows, sorted.
      splits: (n,) uint8 split of each, an index into ``SPLITS``.
      num_examples: Number of examples in each split, by span.
    """

    keys: npt.NDArray[np.uint64]
    splits: npt.NDArray[np.uint8]
    num_examples: Mapping[str, tuple[int, int, int]] = dataclasses.field(default_factory=dict)

    def assign(
        self, keys: npt.NDArray[np.uint64], splits: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        """Return the final splits of rows, given their keys and the splits assigned so far."""
        if not len(self.keys):
            return splits
        positions = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[positions] == keys, self.splits[positions], splits)

    def count(self, summary: IngestSummary) -> IngestSummary:
        """Return the summary with the number of examples in each split."""
        spans = {
            name: counts.model_copy(update={"num_examples": self.num_examples.get(name, (0, 0, 0))})
            for name, counts in summary.spans.items()
        }
        return summary.model_copy(update={"spans": spans})

    def to_bytes(self) -> bytes:
        """Serialize what ``assign`` needs."""
        buffer = io.BytesIO()
        np.savez(buffer, keys=self.keys, splits=self.splits)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "SplitPlan":
        """Read what ``to_bytes`` wrote; the counts are empty."""
        with np.load(io.BytesIO(content)) as arrays:
            return cls(arrays["keys"], arrays["splits"])


def plan_splits(records: Sequence[ExampleRecords], spans: Sequence[str]) -> SplitPlan:
    """Plan the splits of all examples.

    Args:
      records: Records of all batches, in any order.
      spans: Names of the spans that are used.
    """
    counts = {span: np.zeros(len(SPLITS), np.int64) for span in spans}
    for batch in records:
        if batch.span in counts:
            counts[batch.span] += np.bincount(batch.splits, minlength=len(SPLITS))
    num_examples = {
        span: (int(training), int(calibration), int(test))
        for span, (training, calibration, test) in counts.items()
    }
    return SplitPlan(np.empty(0, np.uint64), np.empty(0, np.uint8), num_examples)
