"""Argument checks for distances and losses."""

from collections.abc import Sequence


def shapes_compatible(left: Sequence[int | None], right: Sequence[int | None], rank: int) -> bool:
    """Return whether both shapes have the rank and equal sizes; None matches any size."""
    if len(left) != rank or len(right) != rank:
        return False
    return all(None in (a, b) or a == b for a, b in zip(left, right, strict=True))


def require_positive(**values: float) -> None:
    """Raise ValueError for the first value that is not above 0; NaN is not."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}.")
