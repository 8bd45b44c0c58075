"""Errors of the commands: one line on standard error, and an exit code."""

import contextlib
from collections.abc import Iterator

import click

from diptych.cli.terminal_text import escape_control
from diptych.schemas.errors import DiptychError


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """Exit with code 1 and the message of a ``DiptychError``, without a traceback."""
    try:
        yield
    except DiptychError as error:
        raise click.ClickException(one_line(error)) from error


def one_line(error: Exception) -> str:
    """Message of an error on one line, without the control characters of names in it."""
    return escape_control(" ".join(str(error).split()))
