"""Data report of ExampleGen: duplicates, conflicting labels, and leaks from training to test.

The artifact ``data_report`` holds ``data_report.json`` (a ``DataReport``) and ``leaked.parquet``:
the ids of the test examples that occur in the training split, themselves or as a duplicate. If the
data are given pairs, they are the ids of left and right examples of test pairs.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.schemas.files import atomic_write
from diptych.schemas.json_model import JsonModel, write_json
from diptych.schemas.shards import ID_BYTES, SPLITS, fixed_binary_to_numpy

REPORT_FILE = "data_report.json"
LEAKED_FILE = "leaked.parquet"
CONFLICT_REASON = "the same content has another label"
LEAKED_SCHEMA = pa.schema([("id", pa.binary(ID_BYTES))])

DuplicateKind = Literal["equal", "equal_pixels", "near", "rounded"]
"""Similarity of the examples of a group, by the weakest link between them.

``equal``: the same bytes or values. ``equal_pixels``: different files that decode to the same
pixels. ``near``: images that differ by encoding, size or brightness. ``rounded``: vectors that are
equal after rounding.
"""

KIND_TEXTS: dict[DuplicateKind, str] = {
    "equal": "equal",
    "equal_pixels": "equal pixels",
    "near": "near-duplicate images",
    "rounded": "equal after rounding",
}


class NamedExample(JsonModel):
    """An example or a given pair in the report.

    ``split`` is empty if it was rejected. ``label`` is the class, or ``positive`` or ``negative``.
    """

    source: str
    label: str
    split: str = ""


class DuplicateGroup(JsonModel):
    """A group of duplicates; ``examples`` lists the first by name."""

    kind: DuplicateKind
    num_examples: int
    examples: tuple[NamedExample, ...]


class DuplicateCounts(JsonModel):
    """Number of groups of one kind, of the examples in them, and of groups in several splits."""

    kind: DuplicateKind
    groups: int
    examples: int
    groups_across_splits: int


class Conflict(JsonModel):
    """The same content under several labels, or the same pair as positive and as negative."""

    num_examples: int
    examples: tuple[NamedExample, ...]


class GivenPairs(JsonModel):
    """Examples of given pairs. Duplicates count as one example.

    Attributes:
      num_examples: Distinct examples on the left or right of a pair.
      num_shared: Distinct examples that occur in more than one split.
      num_test_examples: Distinct examples of the test pairs.
      num_components: Connected components: pairs of different components share no example.
      largest_component: Number of pairs in the largest component.
    """

    num_examples: int
    num_shared: int
    num_test_examples: int
    num_components: int
    largest_component: int


class Corrections(JsonModel):
    """Effect of ``data.corrections``.

    Attributes:
      num_relabelled: Examples with a corrected label.
      num_removed: Removed examples.
      num_unknown: Rows of the file that match no example.
      unknown: The first of these, by name.
      new_labels: Corrected labels that only corrected examples have, the first by name.
    """

    num_relabelled: int
    num_removed: int
    num_unknown: int
    unknown: tuple[str, ...] = ()
    new_labels: tuple[str, ...] = ()


class DataReport(JsonModel):
    """Duplicates, conflicts and leaks of the examples, ``data_report.json``.

    Attributes:
      num_examples: Examples (or given pairs) in each split, in the order of ``SPLITS``.
      num_moved: Examples whose split was changed to keep them with their duplicates.
      duplicates: Counts by kind; kinds without a group are omitted.
      groups: The largest groups, and first those in several splits.
      num_conflicts: Examples that were rejected because the same content has another label.
      conflicts: The first conflicts by name.
      num_leaked: Test examples with a duplicate in the training split, or given test pairs with an
        example that occurs in a training pair.
      pairs: None if the data are not given pairs.
      corrections: None without ``data.corrections``.
    """

    num_examples: tuple[int, int, int]
    num_moved: int = 0
    duplicates: tuple[DuplicateCounts, ...] = ()
    groups: tuple[DuplicateGroup, ...] = ()
    num_conflicts: int = 0
    conflicts: tuple[Conflict, ...] = ()
    num_leaked: int = 0
    pairs: GivenPairs | None = None
    corrections: Corrections | None = None

    @property
    def leaked_fraction(self) -> float:
        """Fraction of the test examples, or of the given test pairs, that leaked; 0 without any."""
        num_test = self.num_examples[SPLITS.index("test")]
        return self.num_leaked / num_test if num_test else 0.0

    def write(self, folder: Path, leaked_ids: np.ndarray) -> None:
        """Write both files.

        Args:
          folder: Folder of the artifact.
          leaked_ids: (n, 16) uint8 ids.
        """
        write_json(self, folder / REPORT_FILE)
        ids = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(ID_BYTES),
            len(leaked_ids),
            [None, pa.py_buffer(np.ascontiguousarray(leaked_ids, np.uint8))],
        )
        with atomic_write(folder / LEAKED_FILE) as tmp_path:
            pq.write_table(pa.table({"id": ids}, schema=LEAKED_SCHEMA), tmp_path)

    @classmethod
    def read(cls, folder: Path) -> "DataReport":
        """Read ``data_report.json`` from the folder of the artifact."""
        return cls.model_validate_json((folder / REPORT_FILE).read_bytes())


def read_leaked_ids(folder: Path) -> np.ndarray:
    """Read ``leaked.parquet``: (n, 16) uint8 ids, sorted."""
    column = pq.read_table(folder / LEAKED_FILE)["id"].combine_chunks()
    return fixed_binary_to_numpy(column, ID_BYTES)


def describe_duplicates(report: DataReport) -> str:
    """Describe the duplicates in one line for the console, the log and the report."""
    unit = "examples" if report.pairs is None else "pairs"
    parts = [
        f"{counts.examples:,} {unit} in {counts.groups:,} group{'' if counts.groups == 1 else 's'} "
        f"({KIND_TEXTS[counts.kind]})"
        for counts in report.duplicates
    ]
    if report.num_moved:
        parts.append(f"{report.num_moved:,} moved to the split of their duplicates")
    return ", ".join(parts) or "none"


def describe_corrections(corrections: Corrections) -> str:
    """Describe the effect of ``data.corrections`` in one line."""
    text = f"{corrections.num_relabelled:,} labels corrected, {corrections.num_removed:,} removed"
    if corrections.num_unknown:
        first = ", ".join(corrections.unknown[:3])
        text += f", {corrections.num_unknown:,} rows of data.corrections match no example: {first}"
    if corrections.new_labels:
        labels = ", ".join(map(repr, corrections.new_labels[:3]))
        text += f", no other example has the corrected label {labels}"
    return text


def describe_leaks(report: DataReport) -> str:
    """Describe the test examples that are known from training, in one line."""
    num_test = report.num_examples[SPLITS.index("test")]
    leaked = f"{report.num_leaked:,} of {num_test:,} test"
    fraction = f"({report.leaked_fraction:.1%})"
    if report.pairs is None:
        return f"{leaked} examples {fraction} have a duplicate in the training split"
    return (
        f"{leaked} pairs {fraction} have an example that occurs in a training pair; "
        f"{report.pairs.num_shared:,} of {report.pairs.num_examples:,} examples occur in several "
        "splits"
    )
