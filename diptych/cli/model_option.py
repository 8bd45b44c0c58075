"""The option ``--model``, and the pushed model that it selects."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from diptych.cli.path_type import FilePath
from diptych.cli.terminal_text import shell_argument
from diptych.schemas.errors import ModelError
from diptych.schemas.versions import list_versions

if TYPE_CHECKING:
    from diptych.inference.pushed_model import PushedModel

_Command = TypeVar("_Command", bound=Callable[..., Any])


def model_option(command: _Command) -> _Command:
    """Add the option ``--model`` to a command; see ``load_pushed_model``."""
    return click.option(
        "--model",
        type=FilePath(),
        envvar="DIPTYCH_MODEL",
        show_envvar=True,
        help="Folder of a pushed version, or of versions, of which the newest is used. Default: "
        "./serving, or the only ./*/serving.",
    )(command)


def load_pushed_model(path: Path | None) -> "PushedModel":
    """Load a pushed model, and verify its files against its manifest.

    Args:
      path: Folder of a version or of versions; None: the only one in the working directory.

    Raises:
      ModelError: If there is no model or more than one, or its files have changed.
    """
    from diptych.inference.pushed_model import PushedModel

    return PushedModel(find_model(Path()) if path is None else path)


def find_model(here: Path) -> Path:
    """Find the only folder of pushed versions in a directory or its subfolders.

    Raises:
      ModelError: If there is none, or more than one.
    """
    candidates = [here / "serving", *sorted(here.glob("*/serving"))]
    found = [folder for folder in candidates if list_versions(folder)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(folder) for folder in found)
        raise ModelError(
            f"{len(found)} pushed models found: {names}. Choose one with --model "
            f"{shell_argument(found[0])}."
        )
    raise ModelError(
        "No pushed model found: neither ./serving nor ./*/serving contains a version. Choose one "
        "with --model PATH, such as --model demo/serving, or run the pipeline until it pushes one."
    )
