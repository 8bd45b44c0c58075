"""Arguments and options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from diptych.cli.path_type import FilePath

_Command = TypeVar("_Command", bound=Callable[..., Any])

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY.PATH=VALUE",
    help="Override a value of the configuration; may be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def pipeline_options(command: _Command) -> _Command:
    """Add the argument CONFIG and the options of commands that work in a pipeline root."""
    for decorate in (
        click.option(
            "--root",
            type=FilePath(file_okay=False),
            help="Pipeline root: folder of metadata, artifacts, logs and pushed models. "
            "Default: diptych-NAME in the working directory.",
        ),
        set_option,
        click.argument("config", type=FilePath()),
    ):
        command = decorate(command)
    return command


def runs_root_option(command: _Command) -> _Command:
    """Add the option ``--root`` of commands that read the runs of a pipeline root."""
    return click.option(
        "--root",
        type=FilePath(file_okay=False),
        help="Pipeline root. Default: the only one in the working directory or its subfolders.",
    )(command)
