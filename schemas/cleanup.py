"""Clean up after an error without hiding it."""

import contextlib
import logging
from collections.abc import Callable, Iterator

_log = logging.getLogger("diptych")


@contextlib.contextmanager
def cleanup(*actions: Callable[[], object]) -> Iterator[None]:
    """Call all actions at the end of the context, as ``finally`` does; the first error wins.

    An exception in a ``finally`` block replaces the one in flight, which is its cause more often
    than not: a full disk makes both the step and its cleanup fail. Here, an error of an action is
    logged and added as a note to the exception of the context. Without one, the first error of an
    action is raised after all of them.
    """
    with cleanup_on_error(*actions):
        yield
    errors = _call_all(actions)
    if errors:
        first_error, *others = errors
        for error in others:
            note_cleanup_error(first_error, error)
        raise first_error


@contextlib.contextmanager
def cleanup_on_error(*actions: Callable[[], object]) -> Iterator[None]:
    """Call all actions if the context raises an exception, whose notes list their errors."""
    try:
        yield
    except BaseException as first:
        for error in _call_all(actions):
            note_cleanup_error(first, error)
        raise


def note_cleanup_error(first: BaseException, error: BaseException) -> None:
    """Log an error of the cleanup, and add it as a note to the error that came first."""
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    first.add_note(f"The cleanup failed as well: {text}")
    _log.warning("The cleanup after an error failed as well: %s", text)


def _call_all(actions: tuple[Callable[[], object], ...]) -> list[Exception]:
    """Call every action, also after an error; return the errors."""
    errors: list[Exception] = []
    for action in actions:
        try:
            action()
        except Exception as error:
            errors.append(error)
    return errors
