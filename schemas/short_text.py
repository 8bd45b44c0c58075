"""Values in messages, shortened."""

import reprlib

MAX_VALUE_LENGTH = 100
MAX_MESSAGE_LENGTH = 10_000

_short = reprlib.Repr()
_short.maxlevel = 3
_short.maxstring = _short.maxother = _short.maxlong = MAX_VALUE_LENGTH


def short_repr(value: object) -> str:
    """Return the ``repr`` of a value, without the middle of a long text or the end of a list."""
    return shorten(_short.repr(value), 2 * MAX_VALUE_LENGTH)


def shorten(text: str, max_length: int = MAX_VALUE_LENGTH) -> str:
    """Return a text of at most ``max_length`` characters, without the middle of a longer one."""
    if len(text) <= max_length:
        return text
    half = (max_length - 3) // 2
    return f"{text[:half]}...{text[-half:]}"
