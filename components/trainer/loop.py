"""The training loop: the same in process, on one Ray worker, and on several."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from diptych.components.trainer.augmentation import Augmenter
from diptych.components.trainer.batches import Batch, ShardReader, inverse_class_frequencies
from diptych.components.trainer.checkpoints import read_checkpoint, write_checkpoint
from diptych.components.trainer.learner import Learner, Place
from diptych.components.trainer.learning_curves import Epoch, best_epoch
from diptych.components.trainer.network import build_network
from diptych.components.trainer.objective import Objective
from diptych.components.trainer.optimizers import make_optimizer
from diptych.components.trainer.pair_evaluator import CalibrationSet, JudgedPairs
from diptych.components.trainer.warm_start import start_from
from diptych.schemas.config.model import Model
from diptych.schemas.config.train import Train
from diptych.schemas.errors import TrainingError
from diptych.schemas.shards import Manifest

_TRAINING, _CALIBRATION = "Split-train", "Split-calibration"
_TRAINED_ON = 2048  # rows that the training accuracy is of: a fraction of a second an epoch


@dataclasses.dataclass
class _Progress:
    """How far the training has come, and what it has found so far."""

    epoch: int = 0  # whole ones
    losses: list[float] = dataclasses.field(default_factory=list)  # of the steps of this epoch
    curves: list[Epoch] = dataclasses.field(default_factory=list)
    best: list[np.ndarray] = dataclasses.field(default_factory=list)  # weights

    @property
    def best_epoch(self) -> int:
        """The one with the lowest calibration loss; 0 before the first."""
        return best_epoch(self.curves).epoch if self.curves else 0


def train(
    pairs: Path,
    model: Model,
    settings: Train,
    place: Place,
    on_epoch: Callable[[Epoch], None],
    checkpoints: Path | None = None,
) -> tuple[list[np.ndarray], list[Epoch]]:
    """Trains a network.

    All workers start from the same weights, apply the same summed gradients, and judge the whole
    calibration split, so that they stop at the same epoch without asking each other.

    Args:
      pairs: folder of the pair set, with Split-train and Split-calibration.
      model: encoder, distance and loss.
      settings: schedule.
      place: rank of this process; the number of workers divides ``batches_per_step``.
      on_epoch: called at the end of each epoch, on every worker.
      checkpoints: folder to go on from and to leave checkpoints in; one of this training alone.

    Returns:
      The weights of the network at the epoch with the lowest calibration loss, and the curves.

    Raises:
      TrainingError: the loss is not finite, or memory does not suffice.
    """
    keras.utils.set_random_seed(settings.seed)
    reader, learner, calibration = _prepare(pairs, model, settings, place)
    trained_on = JudgedPairs(pairs / _TRAINING, _TRAINED_ON)
    progress = _resume(learner, checkpoints)
    if not progress.best:
        progress.best = learner.network.get_weights()
    while progress.epoch < settings.epochs and not _is_over(progress, settings):
        started, examples, waited = time.perf_counter(), 0, 0.0
        for batch, seconds in _timed(reader.epoch(progress.epoch, len(progress.losses))):
            with _explained(progress, settings, len(batch.x)):
                progress.losses.append(learner.step(batch))
            examples, waited = examples + len(batch.x), waited + seconds
            every = settings.checkpoint_steps
            if every and len(progress.losses) % every == 0 and checkpoints:
                _check(progress, reader.num_steps, settings)
                learner.share_statistics()  # or those of the other workers would be lost
                _leave(checkpoints, progress, learner, place)
        _check(progress, reader.num_steps, settings)
        spent = time.perf_counter() - started
        learner.share_statistics()
        with learner.averaged():
            calibration_loss, threshold, accuracy = calibration.judge(learner.network)
            training_accuracy = trained_on.accuracy(learner.network, threshold)
            weights = learner.network.get_weights()
        progress.epoch += 1
        line = Epoch(
            epoch=progress.epoch,
            loss=float(np.mean(progress.losses)),
            accuracy=training_accuracy,
            calibration_loss=calibration_loss,
            calibration_accuracy=accuracy,
            examples_per_s=examples * place.workers / spent,
            input_share=waited / spent,
            seconds=time.perf_counter() - started,
        )
        progress.curves.append(line)
        progress.losses = []
        if progress.best_epoch == line.epoch:
            progress.best = weights
        if checkpoints:
            _leave(checkpoints, progress, learner, place)
        on_epoch(line)
    return progress.best, progress.curves


def _prepare(
    pairs: Path, model: Model, settings: Train, place: Place
) -> tuple[ShardReader, Learner, CalibrationSet]:
    shape = Manifest.read(pairs / _TRAINING).input
    network = build_network(model, shape, settings.precision)
    if settings.warm_start is not None:
        start_from(Path(settings.warm_start), network)
    objective = Objective(model, network.distance)
    weights = None
    if settings.weights == "inverse_frequency":
        weights = inverse_class_frequencies(pairs / _TRAINING)
    reader = ShardReader(
        pairs / _TRAINING,
        objective.kind,
        settings.batches_per_step,
        place.rank,
        place.workers,
        settings.seed,
        class_weights=weights,
    )
    learner = Learner(
        network,
        objective,
        make_optimizer(settings, reader.num_steps),
        Augmenter(settings.augmentation, shape),
        model.decoder.weight if model.decoder else 0.0,
        place,
    )
    if learner.draws:
        reader.draw = learner.draw
    return reader, learner, CalibrationSet(pairs / _CALIBRATION, objective)


def _is_over(progress: _Progress, settings: Train) -> bool:
    return progress.epoch - progress.best_epoch >= settings.patience


def _resume(learner: Learner, checkpoints: Path | None) -> _Progress:
    found = read_checkpoint(checkpoints) if checkpoints else None
    if found is None:
        return _Progress()
    progress, arrays = found
    learner.restore(arrays["state"])
    curves = [Epoch(**line) for line in progress["curves"]]
    return _Progress(progress["epoch"], progress["losses"], curves, arrays["best"])


def _leave(checkpoints: Path, progress: _Progress, learner: Learner, place: Place) -> None:
    if place.rank != 0:
        return
    place_in_data: dict[str, Any] = {
        "epoch": progress.epoch,
        "losses": [float(loss) for loss in progress.losses],
        "curves": [dataclasses.asdict(line) for line in progress.curves],
    }
    arrays = {"state": learner.state(), "best": progress.best}
    write_checkpoint(checkpoints, place_in_data, arrays)


def _timed(batches: Iterator[Batch]) -> Iterator[tuple[Batch, float]]:
    """Each batch with the seconds that it was waited for."""
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.perf_counter() - started


def _check(progress: _Progress, num_steps: int, settings: Train) -> None:
    """Fetches the losses of the steps, and stops at one that is not finite."""
    progress.losses = [float(loss) for loss in progress.losses]
    bad = np.flatnonzero(~np.isfinite(progress.losses))
    if bad.size:
        raise TrainingError(
            f"The loss is not finite at epoch {progress.epoch + 1}, step {bad[0] + 1} of "
            f"{num_steps}. Lower train.learning_rate ({settings.learning_rate}), set "
            "train.clip_norm, or look for extreme values in the data."
        )


@contextmanager
def _explained(progress: _Progress, settings: Train, examples: int) -> Iterator[None]:
    """Memory that does not suffice, in words."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise TrainingError(
            f"Out of memory at epoch {progress.epoch + 1}, step {len(progress.losses) + 1}, with "
            f"{examples} examples at once on a worker. Lower train.batches_per_step "
            f"({settings.batches_per_step}), pairs.classes_per_batch, pairs.examples_per_class or "
            "the size of the images, or share the step out to more train.num_workers."
        ) from error
