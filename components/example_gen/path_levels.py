"""Check the roles that ``data.levels`` gives the folders of images."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from diptych.components.common.split_names import parse_split_name
from diptych.components.common.table_rows import format_names
from diptych.schemas.config.data import LevelRole
from diptych.schemas.errors import DataError

_MEANINGS: dict[tuple[LevelRole, LevelRole], str] = {
    ("label", "label"): "{first}/{second} is one class",
    ("label", "group"): "{first} is a class, and {second} is a group of its images, such as a "
    "session or a camera",
    ("group", "label"): "{second} is a class, and {first} is a group of images, such as a writer",
    ("split", "label"): "{second} is a class, and {first} is the split of its images",
    ("label", "split"): "{first} is a class, and {second} is the split of its images",
    ("label", "ignore"): "{first} is a class, and {second} has no meaning",
    ("ignore", "label"): "{second} is a class, and {first} has no meaning",
}


def find_level_problem(name: str, levels: Sequence[LevelRole] | None) -> str | None:
    """Return why a path does not fit ``data.levels``, or None."""
    depth = name.count("/")
    if levels is None:
        return None if depth else "not in a class folder"
    if depth == len(levels):
        return None
    return f"in {depth} folder levels instead of the {len(levels)} of data.levels"


def list_ignored_levels(
    names: Iterable[str], levels: Sequence[LevelRole] | None, used: Iterable[LevelRole]
) -> Iterator[tuple[str, str]]:
    """List the folders of the levels that a run does not use, with the reason.

    Args:
      names: Paths that fit ``levels``.
      levels: Role of each folder.
      used: Roles that the run uses.
    """
    unused = {
        index: role for index, role in enumerate(levels or ()) if role not in {"label", *used}
    }
    folders: dict[int, set[str]] = {index: set() for index in unused}
    for name in names:
        parts = name.split("/")
        for index in unused:
            folders[index].add(parts[index])
    for index, role in unused.items():
        reason = f"path level {index + 1} is not used (role {role} in data.levels)"
        yield from ((folder, reason) for folder in sorted(folders[index]))


def check_levels_are_clear(names: Sequence[str]) -> None:
    """Check that nested folders can only be labels, if ``data.levels`` is not set.

    Raises:
      DataError: If a folder name recurs under different folders, or if folders are named like
        splits.
    """
    paths = {tuple(name.split("/")[:-1]) for name in names}
    depth = max((len(path) for path in paths), default=0)
    for level in range(depth):
        folders = sorted({path[level] for path in paths if len(path) > level})
        if is_split_level(folders):
            raise DataError(_describe_split_level(folders, level, depth, paths))
    for path in sorted(paths):
        for level in range(1, len(path)):
            if path[:level] in paths:
                raise DataError(_describe_mixed_folder(path, level))
    for level in range(1, depth):
        parents: dict[str, str] = {}
        for path in sorted(paths):
            if len(path) <= level:
                continue
            parent = path[level - 1]
            first = parents.setdefault(path[level], parent)
            if first != parent:
                raise DataError(_describe_recurring_folder(path, first, level, depth))


def is_split_level(folders: Sequence[str]) -> bool:
    """Return whether all folders of a level are named like splits, one of them like training."""
    splits = {parse_split_name(folder) for folder in folders}
    return "train" in splits and None not in splits and len(splits) > 1


def _describe_split_level(
    folders: Sequence[str], level: int, depth: int, paths: Collection[tuple[str, ...]]
) -> str:
    found = f"The folders {format_names(folders, 5)} are named like splits"
    if depth == 1:
        return (
            f"{found}, and contain images but no class folders. If they are classes, set "
            "data.levels: [label]. Otherwise put the images of each class into a separate "
            "subfolder, or list the labels in a table (data.table)."
        )
    example = min(path for path in paths if len(path) == depth)
    roles: list[LevelRole] = ["label"] * depth
    roles[level] = "split"
    separate: list[LevelRole] = ["label"] * depth
    return (
        f"{found}, so a class may occur in several of them. Set one of:\n"
        f"{_format_choice(roles, example)}, with split.by: given\n"
        f"{_format_choice(separate, example)}"
    )


def _describe_mixed_folder(path: tuple[str, ...], level: int) -> str:
    outer, inner = "/".join(path[:level]), "/".join(path[: level + 1])
    levels: list[LevelRole] = ["label"] * level
    return (
        f"The folder {outer!r} contains images and the folder {inner!r} with images, so the role "
        f"of the inner one is not clear. Put all images into the same number of folders, or set "
        f"data.levels: [{', '.join(levels)}] to reject those in deeper ones."
    )


def _describe_recurring_folder(path: tuple[str, ...], other: str, level: int, depth: int) -> str:
    pairs: list[tuple[LevelRole, LevelRole]] = [
        ("label", "group"),
        ("group", "label"),
        ("label", "label"),
        ("label", "ignore"),
    ]
    if parse_split_name(path[level - 1]):
        pairs.insert(0, ("split", "label"))
    lines = []
    for pair in pairs:
        levels: list[LevelRole] = ["label"] * depth
        levels[level - 1 : level + 1] = pair
        lines.append(_format_choice(levels, path))
    return (
        f"The folder {path[level]!r} occurs in {other!r} and in {path[level - 1]!r}, so its role "
        "is not clear. Set one of:\n" + "\n".join(lines)
    )


def _format_choice(levels: Sequence[LevelRole], example: Sequence[str]) -> str:
    text = f"  data.levels: [{', '.join(levels)}]"
    if len(levels) == 2 and len(example) >= 2:
        first, second = levels
        meaning = _MEANINGS[first, second].format(first=repr(example[0]), second=repr(example[1]))
        return f"{text}  # {meaning}"
    roles = ", ".join(f"{folder!r}: {role}" for folder, role in zip(example, levels, strict=False))
    return f"{text}  # {roles}"
