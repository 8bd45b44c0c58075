"""Diptych: from raw labelled data to a Siamese model in production, every night.

ML Metadata finds the artifact types by name in this package (``diptych.PairSet``),
so they are reachable here, and loaded only when asked for: importing TFX takes seconds.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diptych.schemas.artifacts import (
        Balance,
        Centroids,
        Evaluation,
        PairSet,
        Rejected,
        TrainingLog,
    )

__version__ = "0.1.0"
__all__ = ["Balance", "Centroids", "Evaluation", "PairSet", "Rejected", "TrainingLog"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from diptych.schemas import artifacts

    return getattr(artifacts, name)
