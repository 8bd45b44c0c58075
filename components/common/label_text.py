"""The canonical form of labels, ids and groups, wherever they come from."""

import unicodedata


def normalize_text(text: str) -> str:
    """Return the canonical form of a label, an id or a group.

    The form is NFC without surrounding white space: the same name from two file systems or
    keyboards is one class. Case and inner white space are kept.
    """
    return unicodedata.normalize("NFC", text).strip()
