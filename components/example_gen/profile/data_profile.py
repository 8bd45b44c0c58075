"""The proposed configuration of some data, and what all kinds of data have in common."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.config.split import SplitConfig

LABEL_NAMES = ("label", "labels", "class", "target", "species", "y", "category")
MAX_COUNTED_ROWS = 1_000_000
MIN_UNSEEN_CLASSES = 20  # fewer give too few classes for calibration and test


@dataclasses.dataclass(frozen=True)
class DataProfile:
    """Proposed configuration for some data.

    Attributes:
      data: Keys of the section ``data``.
      settings: Keys of other sections, by section.
      notes: Notes for the user; those that start with CHECK need attention.
    """

    data: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]
    notes: Sequence[str]


def with_class_settings(
    data: dict[str, Any],
    counts: Mapping[str, int],
    notes: list[str],
    is_partial: bool = False,
    has_given_splits: bool = False,
) -> DataProfile:
    """Add P and K: at most the number of classes, and at most the median size of a class.

    Args:
      data: Section ``data``.
      counts: Number of examples per label.
      notes: Notes so far.
      is_partial: True if only a part of the examples was counted.
      has_given_splits: True if the data state the splits.
    """
    defaults = PairsConfig()
    sizes = sorted(counts.values())
    if not sizes:
        return DataProfile(data, {}, notes)
    median = sizes[len(sizes) // 2]
    in_training = int(median * SplitConfig().train)
    settings: dict[str, dict[str, Any]] = {}
    if has_given_splits:
        settings["split"] = {"by": "given"}
    elif len(sizes) >= MIN_UNSEEN_CLASSES and in_training < 2:
        settings["split"] = {"by": "class"}
        in_training = median
    p = max(2, min(defaults.classes_per_batch, len(sizes)))
    k = max(2, min(defaults.examples_per_class, in_training))
    settings["pairs"] = {"classes_per_batch": p, "examples_per_class": k}
    at_least = "At least " if is_partial else ""
    notes = [
        *notes,
        f"{at_least}{count_noun(len(sizes), 'class', 'classes')} with {_describe_sizes(sizes)}.",
    ]
    if settings.get("split") == {"by": "class"}:
        notes.append(
            f"{median} examples of a class are too few for three splits, so split.by is class: the "
            "model is evaluated on unseen classes."
        )
    elif len(sizes) >= MIN_UNSEEN_CLASSES and not has_given_splits:
        notes.append("To evaluate on unseen classes, set split.by: class.")
    return DataProfile(data, settings, notes)


def count_noun(number: int, noun: str, plural: str | None = None) -> str:
    """Format a number with its noun: 1 file, 2,000 files."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def _describe_sizes(sizes: Sequence[int]) -> str:
    """Describe the sizes of classes, in ascending order."""
    if sizes[0] == sizes[-1]:
        return f"{count_noun(sizes[0], 'example')}{' each' if len(sizes) > 1 else ''}"
    return f"{sizes[0]:,} to {sizes[-1]:,} examples, median {sizes[len(sizes) // 2]:,}"
