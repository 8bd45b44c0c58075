"""Type of all paths on the command line."""

from pathlib import Path
from typing import Any

import click


class FilePath(click.Path):
    """A path. One that begins with ``~`` becomes absolute: Arrow would expand it a second time."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path: Any = super().convert(value, param, ctx)
        return Path(path).absolute() if str(path).startswith("~") else Path(path)
