"""Reports during training: one log line per epoch, and TensorBoard events."""

import logging
from pathlib import Path

from diptych.schemas.config.train import TrainConfig
from diptych.schemas.learning_curves import EpochMetrics

_progress = logging.getLogger("diptych.progress")


def log_epoch(metrics: EpochMetrics, settings: TrainConfig) -> None:
    """Log an epoch and the remaining time if training does not stop early."""
    remaining_s = round(metrics.seconds * (settings.epochs - metrics.epoch))
    _progress.info(
        "epoch %2d of %d  loss %.4f  calibration accuracy %.1f %%  %s examples/s%s",
        metrics.epoch,
        settings.epochs,
        metrics.loss,
        100 * metrics.calibration_accuracy,
        f"{metrics.examples_per_s:,.0f}",
        f"  {remaining_s // 60}:{remaining_s % 60:02d} left" if remaining_s else "",
        extra={"keep": True},
    )


class TensorBoardWriter:
    """Write scalars during training: ``tensorboard --logdir`` shows them live.

    Args:
      folder: Folder of the TrainingLog artifact; events are in its subfolder ``tensorboard``.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._writer = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def write(self, metrics: EpochMetrics) -> None:
        """Add the scalars of an epoch."""
        import tensorflow as tf

        with self._writer.as_default(step=metrics.epoch):
            for name, value in metrics.model_dump(exclude={"epoch"}).items():
                if value is not None:
                    tf.summary.scalar(name, value)
        self._writer.flush()
