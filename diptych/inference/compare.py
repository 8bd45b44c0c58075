"""Two raw examples, by a pushed model: same or different?"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from diptych.inference.pushed_model import PushedModel


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the model says of two examples: ``same`` is ``distance <= threshold``."""

    left: str
    right: str
    same: bool
    distance: float
    threshold: float
    model: str
    version: int


def compare(
    model: "PushedModel", left: Path, right: Path, threshold: float | None = None
) -> Answer:
    """Compares two examples.

    Args:
      model: the pushed one.
      left: an image, or a row of a table such as ``birds.csv:12``.
      right: the same.
      threshold: in place of the calibrated one.

    Raises:
      DataError: one is not there, or cannot be used, or is not what the model takes.
    """
    from diptych.inference.raw_examples import read_one

    raw = np.concatenate([read_one(path, model.manifest).values for path in (left, right)])
    embeddings = model.embed(raw)
    (distance,) = model.distance(embeddings[:1], embeddings[1:])
    limit = model.threshold if threshold is None else threshold
    return Answer(
        left=str(left),
        right=str(right),
        same=bool(distance <= np.float32(limit)),  # as the model's own signature compares
        distance=float(distance),
        threshold=limit,
        model=model.manifest.name,
        version=model.version,
    )
