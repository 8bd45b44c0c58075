"""Learning curves: a line an epoch while training, then JSON and TensorBoard events."""

import dataclasses
import json
import logging
from pathlib import Path

from diptych.schemas.config.train import Train

_progress = logging.getLogger("diptych.progress")


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One line of the learning curves."""

    epoch: int  # from 1
    loss: float
    # Of the first training pairs, without augmentation, at the best threshold of calibration
    accuracy: float | None
    calibration_loss: float
    calibration_accuracy: float  # at the best threshold of this epoch
    examples_per_s: float  # encoded by all workers together
    input_share: float  # of the time of the steps, spent on waiting for data
    seconds: float  # with the judging


def best_epoch(curves: list[Epoch]) -> Epoch:
    """The one whose weights are kept: with the lowest calibration loss, of at least one."""
    return min(curves, key=lambda line: line.calibration_loss)


def show(line: Epoch, settings: Train) -> None:
    """Tells of an epoch, and how long the rest takes if none is stopped early."""
    left = round(line.seconds * (settings.epochs - line.epoch))
    _progress.info(
        "epoch %2d of %d  loss %.4f  calibration accuracy %.1f %%  %s examples/s%s",
        line.epoch,
        settings.epochs,
        line.loss,
        100 * line.calibration_accuracy,
        f"{line.examples_per_s:,.0f}",
        f"  {left // 60}:{left % 60:02d} left" if left else "",
        extra={"keep": True},
    )


class TensorBoard:
    """Writes scalars while the training goes on: ``tensorboard --logdir`` shows them live."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._writer = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def write(self, line: Epoch) -> None:
        """Adds an epoch."""
        import tensorflow as tf

        with self._writer.as_default(step=line.epoch):
            for name, value in dataclasses.asdict(line).items():
                if name != "epoch" and value is not None:
                    tf.summary.scalar(name, value)
        self._writer.flush()


def write_curves(folder: Path, curves: list[Epoch]) -> Epoch:
    """Writes ``curves.json``; returns the epoch whose weights were kept."""
    folder.mkdir(parents=True, exist_ok=True)
    best = best_epoch(curves)
    lines = [dataclasses.asdict(line) for line in curves]
    text = json.dumps({"best_epoch": best.epoch, "epochs": lines}, indent=2)
    (folder / "curves.json").write_text(text + "\n", encoding="utf-8")
    return best
