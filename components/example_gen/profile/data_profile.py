"""The proposed configuration of some data, and what all kinds of data have in common."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.config.split import SplitConfig

LABEL_NAMES = ("label", "labels", "class", "target", "species", "y", "category")
MAX_COUNTED_ROWS = 1_000_000


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
) -> DataProfile:
    """Add P and K: at most the number of classes, and at most the median size of a class."""
    defaults = PairsConfig()
    sizes = sorted(counts.values())
    if not sizes:
        return DataProfile(data, {}, notes)
    median = sizes[len(sizes) // 2]
    in_training = int(median * SplitConfig().train)
    p = max(2, min(defaults.classes_per_batch, len(sizes)))
    k = max(2, min(defaults.examples_per_class, in_training))
    notes = [
        *notes,
        f"{'At least ' if is_partial else ''}{len(sizes)} classes "
        f"with {sizes[0]} to {sizes[-1]} examples, median {median}.",
    ]
    if len(sizes) >= 20:
        notes.append("To evaluate on unseen classes, set split.by: class.")
    pairs = {"classes_per_batch": p, "examples_per_class": k}
    return DataProfile(data, {"pairs": pairs}, notes)
