"""What every contestant is judged by. NumPy alone: one of them runs where Diptych is not."""

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
        """Reads what ``digits.make`` wrote."""
        with np.load(folder / "digits.npz") as arrays:
            return cls(**arrays)


@dataclasses.dataclass
class Result:
    """What a contestant tells of itself; times are in seconds."""

    imports: float = 0.0
    pairs_made: float = 0.0  # where the pairs are made before the training
    set_up: float = 0.0  # the model, and the first step, with which TensorFlow makes its graph
    training: float = 0.0  # all other steps, without the judging between epochs
    input: float = 0.0  # of it, until the inputs of the steps were there
    examples: int = 0  # encoded in that time
    pairs: int = 0  # that the loss saw in that time
    # after each epoch: seconds of training so far, accuracy of the held-out pairs
    curve: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    def seconds_to(self, accuracy: float) -> float | None:
        """Training until the held-out pairs were first told apart so well."""
        return next((seconds for seconds, reached in self.curve if reached >= accuracy), None)

    @property
    def best(self) -> float:
        """The best accuracy of the held-out pairs."""
        return max(reached for _, reached in self.curve)


class Clock:
    """Seconds between ``start`` and ``stop``, added up."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def start(self) -> None:
        """Goes on."""
        self._since = time.perf_counter()

    def stop(self) -> float:
        """Halts; returns the seconds so far."""
        self.seconds += time.perf_counter() - self._since
        return self.seconds


def pair_accuracy(distance: np.ndarray, same: np.ndarray) -> float:
    """Accuracy at the best threshold, up to which a distance means same.

    Args:
      distance: (n,), lower is more alike.
      same: (n,) 1 for a same pair, 0 for a different one.
    """
    order = np.argsort(distance, kind="stable")
    gained = np.cumsum(np.where(same[order] == 1, 1, -1))
    whole = np.append(np.diff(distance[order]) > 0, True)  # equal distances are not told apart
    return float((np.sum(same == 0) + max(gained[whole].max(), 0)) / len(same))
