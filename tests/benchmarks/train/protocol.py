"""Common data, measurements and metric of all implementations.

Depends on NumPy only, because the PyTorch implementations run in an environment without Diptych.
"""

import dataclasses
import time
from pathlib import Path

import numpy as np

THREADS = 2


@dataclasses.dataclass
class Digits:
    """Training digits, and the held-out pairs as rows of the held-out digits; images are uint8."""

    train_x: np.ndarray
    train_y: np.ndarray
    held_x: np.ndarray
    left: np.ndarray
    right: np.ndarray
    same: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> "Digits":
        """Read the digits that ``digits.run`` wrote."""
        with np.load(folder / "digits.npz") as arrays:
            return cls(**arrays)


@dataclasses.dataclass
class Measurement:
    """Times and metrics of one implementation; times are in seconds."""

    imports: float = 0.0
    pairs_made: float = 0.0  # if pairs are created before the training
    set_up: float = 0.0  # model and first step, in which TensorFlow traces its graph
    training: float = 0.0  # all other steps, without the evaluation between epochs
    input: float = 0.0  # part of the training time spent waiting for inputs
    examples: int = 0  # encoded during the training time
    pairs: int = 0  # in the loss during the training time
    # after each epoch: training time so far, accuracy on the held-out pairs
    curve: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    def seconds_to(self, accuracy: float) -> float | None:
        """Return the training time until the held-out accuracy was first reached."""
        return next((seconds for seconds, reached in self.curve if reached >= accuracy), None)

    @property
    def best(self) -> float:
        """Best accuracy on the held-out pairs."""
        return max(reached for _, reached in self.curve)


class Stopwatch:
    """Total of the seconds between ``start`` and ``stop``."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0.0

    def start(self) -> None:
        """Start, or continue after a stop."""
        self._started = time.perf_counter()

    def stop(self) -> float:
        """Stop, and return the total seconds."""
        self.seconds += time.perf_counter() - self._started
        return self.seconds


def pair_accuracy(distance: np.ndarray, same: np.ndarray) -> float:
    """Return the accuracy at the most accurate threshold.

    Args:
      distance: (n,), lower is more similar.
      same: (n,) 1 for a positive pair, 0 for a negative one.
    """
    order = np.argsort(distance, kind="stable")
    gain = np.cumsum(np.where(same[order] == 1, 1, -1))
    is_cut = np.append(np.diff(distance[order]) > 0, True)  # not between equal distances
    return float((np.sum(same == 0) + max(gain[is_cut].max(), 0)) / len(same))
