"""Errors that a person can act on, in one line."""

import contextlib
from collections.abc import Iterator

import click

from diptych.schemas.errors import DiptychError


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Ends a command with the message of a ``DiptychError``, and without a traceback."""
    try:
        yield
    except DiptychError as error:
        raise click.ClickException(" ".join(str(error).split())) from error
