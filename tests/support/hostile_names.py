"""File names of characters that a shell, a pattern, HTML, YAML or a terminal interprets."""

from hypothesis import strategies as st

SPECIAL = "[]*?{}!-^\\ %#&;:$~'\"`<>|()=+,@\n\r\t\x1b\x7fä猫😀\u0301\u200e\u2028"
NAMES = [
    "out [v2]",
    "100% *",
    "a?b#c&d;e",
    "-rf",
    "--root",
    "{SPAN}",
    "{YYYY}-{MM}-{DD}",
    "{{ x }}",
    "~",
    "~nobody",
    "$HOME `id`",
    'it\'s "quoted"',
    "back\\slash",
    "line\nbreak\ttab\r",
    "\x1b[2J",
    "<b>&amp;",
    "猫😀 e\u0301",
    ": # yaml",
    "[!a]",
    "**",
    " leading and trailing ",
    "null",
    "a" * 255,
    "ä" * 127,
]


def file_names(max_size=20):
    """Names that the file system allows and that are not hidden."""
    special = st.text(st.sampled_from(f"{SPECIAL}ab1._"), min_size=1, max_size=max_size)
    anything = st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60
    )
    return (st.sampled_from(NAMES) | special | anything).filter(
        lambda name: not name.startswith(".") and len(name.encode()) <= 255
    )
