"""Propose the split of given pairs: connected, if examples occur in several pairs."""

import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np

from diptych.components.example_gen.duplicates import unite
from diptych.components.example_gen.profile.data_profile import DataProfile


def with_connected_split(
    profile: DataProfile, left: Sequence[Hashable], right: Sequence[Hashable]
) -> DataProfile:
    """Propose ``split.by: connected`` if an example occurs in several different pairs.

    A split that is proposed already is kept.

    Args:
      profile: Profile of given pairs.
      left: (n,) left example of each pair of a sample.
      right: (n,) right examples.
    """
    numbers: dict[Hashable, int] = {}
    nodes = [[numbers.setdefault(key, len(numbers)) for key in side] for side in (left, right)]
    pairs = {(min(pair), max(pair)) for pair in zip(*nodes, strict=True)}
    if not pairs or "split" in profile.settings:
        return profile
    ends = np.array(sorted(pairs)).T
    shared = int((np.bincount(ends.ravel()) > 1).sum())
    if not shared:
        return profile
    components = unite(len(numbers), [(ends[0], ends[1])])
    largest = np.bincount(components[ends[0]]).max() / ends.shape[1]
    note = (
        f"{shared:,} of {len(numbers):,} examples occur in several pairs: split.by: connected "
        f"keeps pairs that share an example in one split. The largest connected component has "
        f"{largest:.0%} of the pairs"
    )
    if len(left) >= 1000:
        note += f" in the first {len(left):,} rows"
    settings = {**profile.settings, "split": {"by": "connected"}}
    return dataclasses.replace(profile, settings=settings, notes=[*profile.notes, f"{note}."])
