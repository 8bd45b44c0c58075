"""The training loop: the same in this process, on one Ray worker, and on several."""

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
from diptych.components.trainer.batches import (
    ShardReader,
    TrainingBatch,
    inverse_frequency_weights,
)
from diptych.components.trainer.checkpoints import load_checkpoint, save_checkpoint
from diptych.components.trainer.learner import DistributedContext, Learner
from diptych.components.trainer.network import build_network
from diptych.components.trainer.objective import Objective
from diptych.components.trainer.optimizers import make_optimizer
from diptych.components.trainer.pair_evaluator import CalibrationEvaluator, PairEvaluator
from diptych.components.trainer.warm_start import load_warm_start_weights
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import TrainingError
from diptych.schemas.learning_curves import EpochMetrics, best_epoch
from diptych.schemas.shards import SplitManifest

_TRAIN_SPLIT, _CALIBRATION_SPLIT = "Split-train", "Split-calibration"
_TRAIN_ACCURACY_ROWS = 2048  # takes a fraction of a second per epoch


@dataclasses.dataclass
class _TrainingProgress:
    """Position in the data, learning curves, and the best weights so far."""

    epoch: int = 0  # number of completed epochs
    losses: list[float] = dataclasses.field(default_factory=list)  # steps of the current epoch
    curves: list[EpochMetrics] = dataclasses.field(default_factory=list)
    best_weights: list[np.ndarray] = dataclasses.field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """Epoch with the lowest calibration loss; 0 before the first."""
        return best_epoch(self.curves).epoch if self.curves else 0


def train(
    pairs: Path,
    model: ModelConfig,
    settings: TrainConfig,
    context: DistributedContext,
    on_epoch: Callable[[EpochMetrics], None],
    checkpoints: Path | None = None,
) -> tuple[list[np.ndarray], list[EpochMetrics]]:
    """Train a network.

    All workers start from the same weights, apply the same reduced gradients, and evaluate the
    complete calibration split. Therefore they stop at the same epoch without communicating.

    Args:
      pairs: Folder of the pair set, with Split-train and Split-calibration.
      model: Encoder, distance and loss.
      settings: Schedule.
      context: This process among the workers; ``world_size`` divides ``batches_per_step``.
      on_epoch: Called at the end of each epoch, on every worker.
      checkpoints: Folder to resume from and to save checkpoints in, used by this run only.

    Returns:
      The weights of the network at the epoch with the lowest calibration loss, and the curves.

    Raises:
      TrainingError: If the loss is not finite, or memory ran out.
    """
    keras.utils.set_random_seed(settings.seed)
    reader, learner, calibration = _build_training(pairs, model, settings, context)
    train_evaluator = PairEvaluator(pairs / _TRAIN_SPLIT, _TRAIN_ACCURACY_ROWS)
    progress = _load_training_progress(learner, checkpoints)
    if not progress.best_weights:
        progress.best_weights = learner.network.get_weights()
    while progress.epoch < settings.epochs and not _stop_early(progress, settings):
        started, num_examples, waited_s = time.perf_counter(), 0, 0.0
        steps = reader.iter_epoch(progress.epoch, len(progress.losses))
        for batch, wait_s in _time_batches(steps):
            with _translate_oom(progress, settings, len(batch.x)):
                progress.losses.append(learner.step(batch))
            num_examples, waited_s = num_examples + len(batch.x), waited_s + wait_s
            every = settings.checkpoint_steps
            if every and len(progress.losses) % every == 0 and checkpoints:
                _check_losses(progress, reader.num_steps, settings)
                # Otherwise the checkpoint would contain the statistics of one worker only.
                learner.average_statistics()
                _save_progress(checkpoints, progress, learner, context)
        _check_losses(progress, reader.num_steps, settings)
        training_s = time.perf_counter() - started
        learner.average_statistics()
        with learner.averaged_weights():
            calibration_loss, threshold, accuracy = calibration.evaluate(learner.network)
            train_accuracy = train_evaluator.accuracy(learner.network, threshold)
            weights = learner.network.get_weights()
        progress.epoch += 1
        metrics = EpochMetrics(
            epoch=progress.epoch,
            loss=float(np.mean(progress.losses)),
            accuracy=train_accuracy,
            calibration_loss=calibration_loss,
            calibration_accuracy=accuracy,
            examples_per_s=num_examples * context.world_size / training_s,
            input_share=waited_s / training_s,
            seconds=time.perf_counter() - started,
        )
        progress.curves.append(metrics)
        progress.losses = []
        if progress.best_epoch == metrics.epoch:
            progress.best_weights = weights
        if checkpoints:
            _save_progress(checkpoints, progress, learner, context)
        on_epoch(metrics)
    return progress.best_weights, progress.curves


def _build_training(
    pairs: Path, model: ModelConfig, settings: TrainConfig, context: DistributedContext
) -> tuple[ShardReader, Learner, CalibrationEvaluator]:
    shape = SplitManifest.read(pairs / _TRAIN_SPLIT).input
    network = build_network(model, shape, settings.precision)
    if settings.warm_start is not None:
        load_warm_start_weights(Path(settings.warm_start), network)
    objective = Objective(model, network.distance)
    class_weights = None
    if settings.weights == "inverse_frequency":
        class_weights = inverse_frequency_weights(pairs / _TRAIN_SPLIT)
    reader = ShardReader(
        pairs / _TRAIN_SPLIT,
        objective.term_kind,
        settings.batches_per_step,
        context.rank,
        context.world_size,
        settings.seed,
        class_weights=class_weights,
    )
    learner = Learner(
        network,
        objective,
        make_optimizer(settings, reader.num_steps),
        Augmenter(settings.augmentation, shape),
        model.decoder.weight if model.decoder else 0.0,
        context,
    )
    if learner.needs_noise:
        reader.sample_noise = learner.sample_noise
    return reader, learner, CalibrationEvaluator(pairs / _CALIBRATION_SPLIT, objective)


def _stop_early(progress: _TrainingProgress, settings: TrainConfig) -> bool:
    return progress.epoch - progress.best_epoch >= settings.patience


def _load_training_progress(learner: Learner, checkpoints: Path | None) -> _TrainingProgress:
    checkpoint = load_checkpoint(checkpoints) if checkpoints else None
    if checkpoint is None:
        return _TrainingProgress()
    progress, arrays = checkpoint
    learner.set_state(arrays["state"])
    curves = [EpochMetrics(**metrics) for metrics in progress["curves"]]
    return _TrainingProgress(progress["epoch"], progress["losses"], curves, arrays["best"])


def _save_progress(
    checkpoints: Path,
    progress: _TrainingProgress,
    learner: Learner,
    context: DistributedContext,
) -> None:
    if context.rank != 0:
        return
    serialized: dict[str, Any] = {
        "epoch": progress.epoch,
        "losses": [float(loss) for loss in progress.losses],
        "curves": [metrics.model_dump() for metrics in progress.curves],
    }
    arrays = {"state": learner.get_state(), "best": progress.best_weights}
    save_checkpoint(checkpoints, serialized, arrays)


def _time_batches(batches: Iterator[TrainingBatch]) -> Iterator[tuple[TrainingBatch, float]]:
    """Yield each batch with the seconds spent waiting for it."""
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.perf_counter() - started


def _check_losses(progress: _TrainingProgress, num_steps: int, settings: TrainConfig) -> None:
    """Copy the losses of the steps to the host; raise if one is not finite."""
    progress.losses = [float(loss) for loss in progress.losses]
    not_finite = np.flatnonzero(~np.isfinite(progress.losses))
    if not_finite.size:
        raise TrainingError(
            f"The loss is not finite at epoch {progress.epoch + 1}, step {not_finite[0] + 1} of "
            f"{num_steps}. Lower train.learning_rate ({settings.learning_rate}), set "
            "train.clip_norm, or check the data for extreme values."
        )


@contextmanager
def _translate_oom(
    progress: _TrainingProgress, settings: TrainConfig, num_examples: int
) -> Iterator[None]:
    """Replace an out-of-memory error with one that names the settings to change."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise TrainingError(
            f"Out of memory at epoch {progress.epoch + 1}, step {len(progress.losses) + 1}, with "
            f"{num_examples} examples per worker. Lower train.batches_per_step "
            f"({settings.batches_per_step}), pairs.classes_per_batch, pairs.examples_per_class or "
            "the size of the images, or distribute the step over more train.num_workers."
        ) from error
