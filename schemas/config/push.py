"""The section ``push``: where blessed models go."""

from diptych.schemas.config.section import Section


class Push(Section):
    """Where blessed models go."""

    path: str | None = None  # None: serving/ in the root
