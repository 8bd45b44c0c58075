"""Text of others on the terminal."""


def shown(text: str) -> str:
    """The same on one line, with what a terminal would act on or cannot show as escapes.

    A file name or a label may hold any character: a line break forges a line of output, an escape
    sequence clears the screen or worse.
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
