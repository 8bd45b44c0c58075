"""Learning curves of a training run: ``curves.json`` in the TrainingLog artifact."""

from collections.abc import Sequence
from pathlib import Path

from diptych.schemas.json_model import JsonModel, write_json

_FILE_NAME = "curves.json"


class EpochMetrics(JsonModel):
    """Metrics of one epoch."""

    epoch: int  # from 1
    loss: float  # mean over the steps
    # Accuracy on the first training pairs, without augmentation, at the calibration threshold of
    # this epoch; None if these rows contain no pair
    accuracy: float | None
    calibration_loss: float
    calibration_accuracy: float  # at the most accurate threshold of this epoch
    examples_per_s: float  # encoded by all workers together
    input_share: float  # fraction of the training time spent waiting for data
    seconds: float  # training and evaluation


class LearningCurves(JsonModel):
    """Metrics of all epochs, and the epoch whose weights were kept."""

    best_epoch: int
    epochs: tuple[EpochMetrics, ...]

    @classmethod
    def from_epochs(cls, epochs: Sequence[EpochMetrics]) -> "LearningCurves":
        """Collect at least one epoch."""
        return cls(best_epoch=best_epoch(epochs).epoch, epochs=tuple(epochs))

    @property
    def best(self) -> EpochMetrics:
        """Metrics of the best epoch."""
        return next(metrics for metrics in self.epochs if metrics.epoch == self.best_epoch)

    def write(self, folder: Path) -> None:
        """Write ``curves.json`` into the artifact's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(self, folder / _FILE_NAME)

    @classmethod
    def read(cls, folder: Path) -> "LearningCurves":
        """Read ``curves.json`` from the artifact's folder."""
        return cls.model_validate_json((folder / _FILE_NAME).read_bytes())


def best_epoch(epochs: Sequence[EpochMetrics]) -> EpochMetrics:
    """Return the epoch with the lowest calibration loss, whose weights are kept."""
    return min(epochs, key=lambda metrics: metrics.calibration_loss)
