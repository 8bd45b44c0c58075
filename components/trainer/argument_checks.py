"""Checks of what distances and losses are given."""

from collections.abc import Sequence


def shapes_match(left: Sequence[int | None], right: Sequence[int | None], rank: int) -> bool:
    """Whether both shapes have this rank and agree, as far as they are known (None: any size)."""
    if len(left) != rank or len(right) != rank:
        return False
    return all(None in (a, b) or a == b for a, b in zip(left, right, strict=True))


def require_positive(**values: float) -> None:
    """Raises ValueError for the first value that is not above 0, NaN included."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}.")
