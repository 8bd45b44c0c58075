"""Text from file names and labels on the terminal."""

import os
import shlex
from pathlib import Path


def shell_argument(path: Path) -> str:
    r"""Quote a path, so that a shell and the program read it as one argument.

    >>> print(shell_argument(Path("my data [v2].yaml")))
    'my data [v2].yaml'
    >>> print(shell_argument(Path("-x.yaml")))
    ./-x.yaml
    """
    text = str(path)
    if text.startswith("-"):
        text = f"./{text}"
    if text.isprintable():
        return shlex.quote(text)
    quoted = {"\\": "\\\\", "'": "\\'"}
    escaped = (
        quoted.get(each, each)
        if each.isprintable()
        else "".join(f"\\x{byte:02x}" for byte in os.fsencode(each))
        for each in text
    )
    return f"$'{''.join(escaped)}'"


def escape_control(text: str) -> str:
    r"""Escape the characters that a terminal acts on or cannot show.

    A file name or a label may contain any character: a line break forges a line of output, an
    escape sequence can clear the screen.

    >>> print(escape_control("wren\x1b[2J\nowl"))
    wren\x1b[2J\nowl
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
