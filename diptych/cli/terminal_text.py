"""Text from file names and labels on the terminal."""


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
