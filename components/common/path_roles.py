"""Read label, group and split of an image from the folders of its path, by ``data.levels``."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from diptych.components.common.label_text import normalize_text
from diptych.schemas.config.data import LevelRole


@dataclasses.dataclass(frozen=True)
class PathRoles:
    """Label, group and split that the folders of a path state; None without such a level."""

    label: str
    group: str | None = None
    split: str | None = None


def parse_path(name: str, levels: Sequence[LevelRole] | None) -> PathRoles:
    """Read the roles of the folders of a path.

    Args:
      name: Path inside the data folder, separated by ``/``.
      levels: Role of each folder; None: all folders together are the label.
    """
    folders = [normalize_text(folder) for folder in name.split("/")[:-1]]
    if levels is None:
        return PathRoles("/".join(folders))
    by_role: dict[str, list[str]] = defaultdict(list)
    for folder, role in zip(folders, levels, strict=True):
        by_role[role].append(folder)
    group, split = (next(iter(by_role[role]), None) for role in ("group", "split"))
    return PathRoles("/".join(by_role["label"]), group, split)
