"""Guess the role of each folder level of images from the names of the folders."""

import collections
import dataclasses
import itertools
import os
import re
from collections.abc import Collection, Sequence

from diptych.components.common.split_names import parse_split_name
from diptych.components.example_gen.path_levels import is_split_level
from diptych.components.example_gen.profile.data_profile import count_noun
from diptych.schemas.config.data import LevelRole

# Names of groups within a class: recordings, cameras, views, times.
_GROUP_WORDS = (
    "session|sess|ses|cam|camera|day|night|date|take|visit|view|viewpoint|angle|pose|scene|seq|"
    "sequence|run|trial|round|batch|shot|burst|video|clip|track|lighting|light|illumination|"
    "device|phone|scanner|sensor|location|site|place|room|week|month|year|fold"
)
_GROUP_NAME = re.compile(
    rf"(?:{_GROUP_WORDS})[\s_.-]*[a-z]?\d*|front|frontal|rear|back|left|right|top|bottom|side|"
    r"profile|indoor|outdoor|inside|outside|morning|evening|\d{4}(?:[-_.]?\d{2}){1,2}",
    re.IGNORECASE,
)
# Names of people and places whose images are not a class if the classes are inside.
_OWNER_NAME = re.compile(
    r"(?:writer|author|annotator|user|participant|speaker|person|subject|patient)[\s_.-]*\d*",
    re.IGNORECASE,
)
# Names of classes that are numbered within their parent, such as the characters of an alphabet.
_LABEL_NAME = re.compile(
    r"(?:character|char|letter|glyph|symbol|sign|digit|class|species|category|type)[\s_.-]*\d*",
    re.IGNORECASE,
)
_MIN_PARENTS = 0.8  # fraction of the parents that have a folder that recurs in every one


@dataclasses.dataclass(frozen=True)
class LevelGuess:
    """Proposed roles of the folder levels.

    Attributes:
      levels: ``data.levels``; None if the folders are the label anyway.
      notes: Notes for the user; those that start with CHECK need attention.
      has_given_splits: True if a level is the split.
    """

    levels: list[LevelRole] | None
    notes: list[str]
    has_given_splits: bool = False


def guess_levels(names: Sequence[str]) -> LevelGuess:
    """Guess the roles of the folder levels from the paths of images, separated by ``/``."""
    folders = collections.Counter(os.path.dirname(name) for name in names)
    sizes: collections.Counter[int] = collections.Counter()
    for folder, count in folders.items():
        sizes[len(_split(folder))] += count
    depth = max(sizes, key=lambda level: (sizes[level], level), default=0)
    if depth == 0:
        return LevelGuess(None, [])
    paths = sorted(path for path in map(_split, folders) if len(path) == depth)
    roles: list[LevelRole] = ["label"] * depth
    notes: list[str] = []
    remaining = list(range(depth))
    split = _find_split_level(paths)
    if split is not None:
        roles[split] = "split"
        remaining.remove(split)
        notes += _describe_split_level(paths, split)
    for level in list(remaining):
        if len(remaining) > 1 and len({path[level] for path in paths}) == 1:
            roles[level] = "ignore"
            remaining.remove(level)
            notes.append(f"Every path has the folder {paths[0][level]!r}; it is ignored.")
    if not remaining:
        # Folders named like splits contain the images themselves.
        notes.append(
            "CHECK: the folders are named like splits and contain no class folders. If they are "
            "not classes, put the images of each class into a subfolder, or list the labels in a "
            "table (data.table)."
        )
        return LevelGuess(["label"], notes)
    # Names such as session1 decide before the levels above them are compared.
    for level in remaining[1:]:
        inner = sorted({path[level] for path in paths})
        if "group" not in roles and all(map(_GROUP_NAME.fullmatch, inner)):
            roles[level] = "group"
            remaining.remove(level)
            notes.append(_describe_group(inner))
    for first, second in itertools.pairwise(remaining):
        notes += _assign_pair(paths, first, second, roles)
    num_other = sum(sizes.values()) - sizes[depth]
    is_clear = _has_unique_names(paths) and not _mixes_images_and_folders(folders)
    if set(roles) == {"label"} and not notes and is_clear:
        return LevelGuess(None, [])
    if num_other:
        notes.append(
            f"CHECK: {count_noun(num_other, 'image')} would be rejected, because the path has more "
            f"or fewer than {count_noun(depth, 'folder')}. Move or remove such images."
        )
    return LevelGuess(roles, notes, split is not None)


def _split(folder: str) -> tuple[str, ...]:
    return tuple(folder.split("/")) if folder else ()


def _find_split_level(paths: Sequence[tuple[str, ...]]) -> int | None:
    for level in range(len(paths[0])):
        folders = sorted({path[level] for path in paths})
        known = [folder for folder in folders if parse_split_name(folder)]
        is_mostly_split = len(known) >= 2 and len(known) * 2 > len(folders)
        if is_split_level(folders) or (is_mostly_split and is_split_level(known)):
            return level
    return None


def _describe_split_level(paths: Sequence[tuple[str, ...]], level: int) -> list[str]:
    folders = sorted({path[level] for path in paths})
    unknown = [folder for folder in folders if not parse_split_name(folder)]
    named = {parse_split_name(folder) for folder in folders}
    notes = [f"The folders {', '.join(folders)} are the splits (split.by: given)."]
    if None not in named and len(named) == 2:
        notes = [
            f"The folders {', '.join(folders)} are the splits (split.by: given); calibration is "
            "taken from the training images."
        ]
    if unknown:
        notes.append(
            f"CHECK: the folder {unknown[0]!r} is next to splits, but is not one. Rename or move "
            "it, or do not split by given."
        )
    return notes


def _assign_pair(
    paths: Sequence[tuple[str, ...]], first: int, second: int, roles: list[LevelRole]
) -> list[str]:
    """Assign the roles of two levels, one inside the other; return notes."""
    parents: dict[str, set[str]] = collections.defaultdict(set)
    for path in paths:
        parents[path[second]].add(path[first])
    outer, inner = sorted({path[first] for path in paths}), sorted(parents)
    example = f"{outer[0]}/{inner[0]}"
    if all(len(found) == 1 for found in parents.values()):
        return []
    if all(map(_LABEL_NAME.fullmatch, inner)):
        return [f"Folders such as {example} are classes."]
    if all(map(_GROUP_NAME.fullmatch, outer)) and "group" not in roles:
        roles[first] = "group"
        return [_describe_group(outer)]
    recurring = sum(len(found) >= _MIN_PARENTS * len(outer) for found in parents.values())
    guess = "a class"
    if "group" not in roles and recurring >= _MIN_PARENTS * len(inner):
        if all(map(_OWNER_NAME.fullmatch, outer)) or len(inner) > len(outer):
            roles[first] = "group"
            guess = f"a class {inner[0]!r} with the group {outer[0]!r}"
        else:
            roles[second] = "group"
            guess = f"a class {outer[0]!r} with the group {inner[0]!r}"
    return [
        f"CHECK: {example} may be one class, or a class and a group of its images such "
        f"as a session or a writer. data.levels assumes {guess}."
    ]


def _describe_group(names: Sequence[str]) -> str:
    return (
        f"Folders such as {names[0]} are groups of images ({len(names)} names). To keep the images "
        "of a group in one split, set split.by: group."
    )


def _has_unique_names(paths: Sequence[tuple[str, ...]]) -> bool:
    """Return whether each folder name has one parent, so that all levels together are the label."""
    parents: dict[tuple[int, str], str] = {}
    return all(
        parents.setdefault((level, path[level]), path[level - 1]) == path[level - 1]
        for path in paths
        for level in range(1, len(path))
    )


def _mixes_images_and_folders(folders: Collection[str]) -> bool:
    """Return whether a folder contains images and a folder with images."""
    return any(
        "/".join(path[:level]) in folders
        for path in map(_split, folders)
        for level in range(1, len(path))
    )
