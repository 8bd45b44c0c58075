"""Which pushed model a command uses."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from diptych.schemas.errors import ModelError
from diptych.schemas.versions import versions

if TYPE_CHECKING:
    from diptych.inference.pushed_model import PushedModel

_Command = TypeVar("_Command", bound=Callable[..., Any])


def model_option(command: _Command) -> _Command:
    """Gives a command the option ``--model``, for ``load_model``."""
    return click.option(
        "--model",
        type=click.Path(path_type=Path),
        envvar="DIPTYCH_MODEL",
        show_envvar=True,
        help="A version of a pushed model, or a folder of versions, of which the newest is taken. "
        "Default: ./serving, or the only one of ./*/serving.",
    )(command)


def load_model(path: Path | None) -> "PushedModel":
    """The pushed model, checked against its manifest.

    Args:
      path: of a version, or of a folder of versions; None: the only one here.

    Raises:
      ModelError: there is no model, or several; or its folder is not as it was pushed.
    """
    from diptych.inference.pushed_model import PushedModel

    return PushedModel(find_model(Path()) if path is None else path)


def find_model(here: Path) -> Path:
    """The only folder with pushed versions in a working directory.

    Raises:
      ModelError: there is none, or more than one.
    """
    candidates = [here / "serving", *sorted(here.glob("*/serving"))]
    found = [folder for folder in candidates if versions(folder)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(folder) for folder in found)
        raise ModelError(f"Which model? Several are here: {names}. Say --model {found[0]}.")
    raise ModelError(
        "No pushed model is here: neither ./serving nor ./*/serving has a version in it. Say "
        "--model PATH, such as --model demo/serving, or run the pipeline until a model is blessed."
    )
