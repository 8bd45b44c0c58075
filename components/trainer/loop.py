"""The training loop: the same in process, on one Ray worker, and on several."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from diptych.components.trainer.augmentation import view
from diptych.components.trainer.batches import Batch, ShardReader
from diptych.components.trainer.calibration import CalibrationSet
from diptych.components.trainer.encoders import build_encoder
from diptych.components.trainer.losses import ContrastiveLoss, euclidean_distance
from diptych.schemas.errors import TrainingError
from diptych.schemas.model import Model
from diptych.schemas.shards import InputShape
from diptych.schemas.training import Train

AllReduceSum = Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]
_LAST_LEARNING_RATE = 0.02  # of the first, at the end of the cosine


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One line of the learning curves."""

    epoch: int  # from 1
    loss: float
    calibration_loss: float
    calibration_accuracy: float  # at the best threshold of this epoch
    examples_per_s: float


@dataclasses.dataclass(frozen=True)
class Place:
    """Which part of the work this process does, and how it talks to the others."""

    rank: int = 0
    workers: int = 1
    all_reduce_sum: AllReduceSum = list


def train(
    pairs: Path,
    model: Model,
    settings: Train,
    place: Place,
    on_epoch: Callable[[Epoch], None],
) -> tuple[list[np.ndarray], list[Epoch]]:
    """Trains an encoder.

    All workers start from the same weights, apply the same summed gradients, and judge the whole
    calibration split, so that they stop at the same epoch without asking each other.

    Args:
      pairs: folder of the pair set, with Split-train and Split-calibration.
      model: encoder and loss.
      settings: schedule.
      place: rank of this process; the number of workers divides ``batches_per_step``.
      on_epoch: called at the end of each epoch, on every worker.

    Returns:
      The weights of the encoder at the epoch with the lowest calibration loss, and the curves.

    Raises:
      TrainingError: the loss is not finite.
    """
    keras.utils.set_random_seed(settings.seed)
    reader = ShardReader(
        pairs / "Split-train",
        settings.batches_per_step,
        place.rank,
        place.workers,
        settings.seed,
        settings.augmentation.of != "none",
    )
    calibration = CalibrationSet(pairs / "Split-calibration")
    encoder = build_encoder(model, reader.manifest.input)
    loss = ContrastiveLoss(model.loss.margin, reduction="none")
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, reader.num_steps * settings.epochs, alpha=_LAST_LEARNING_RATE
    )
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(encoder.trainable_variables)
    step = make_step(
        encoder, loss, optimizer, reader.manifest.input, place.all_reduce_sum, reader.augment
    )

    best, best_weights, curves = np.inf, encoder.get_weights(), []
    for epoch in range(settings.epochs):
        started, examples, losses = time.perf_counter(), 0, []
        for batch in reader.epoch(epoch):
            losses.append(step(*_tensors(batch)))
            examples += len(batch.x)
        values = np.array([float(value) for value in losses])
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            raise TrainingError(
                f"The loss is not finite at epoch {epoch + 1}, step {bad + 1} of "
                f"{reader.num_steps}. Lower train.learning_rate "
                f"({settings.learning_rate}), or look for extreme values in the data."
            )
        seconds = time.perf_counter() - started
        calibration_loss, accuracy = calibration.judge(encoder, loss)
        line = Epoch(
            epoch=epoch + 1,
            loss=float(values.mean()),
            calibration_loss=calibration_loss,
            calibration_accuracy=accuracy,
            examples_per_s=examples * place.workers / seconds,
        )
        curves.append(line)
        on_epoch(line)
        if line.calibration_loss < best:
            best, best_weights = line.calibration_loss, encoder.get_weights()
        elif line.epoch - _best_epoch(curves) >= settings.patience:
            break
    return best_weights, curves


def make_step(
    encoder: keras.Model,
    loss: keras.losses.Loss,
    optimizer: keras.optimizers.Optimizer,
    shape: InputShape,
    all_reduce_sum: AllReduceSum,
    augment: bool,
) -> Callable[..., tf.Tensor]:
    """One compiled training step: the fields of a ``Batch`` to the loss of the whole step.

    The loss is the weighted mean over the pairs of all workers. Each worker sums its own; sums and
    gradients are added up, and divided by the sum of all weights, so that the result does not
    depend on how the pairs are shared out.
    """
    row = tf.TensorSpec([None], tf.int32)
    number = tf.TensorSpec([None], tf.float32)
    x_type = tf.uint8 if shape.kind == "image" else tf.float32
    x_spec = tf.TensorSpec([None, *shape.shape], x_type)

    views_spec = tf.TensorSpec([None, 8 if augment else 0], tf.float32)

    @tf.function(input_signature=[x_spec, row, row, number, number, views_spec])
    def step(
        x: tf.Tensor,
        left: tf.Tensor,
        right: tf.Tensor,
        same: tf.Tensor,
        weight: tf.Tensor,
        views: tf.Tensor,
    ) -> tf.Tensor:
        if augment:
            x = view(x, views)
        with tf.GradientTape() as tape:
            embedding = encoder(x, training=True)
            distance = euclidean_distance(tf.gather(embedding, left), tf.gather(embedding, right))
            total = tf.reduce_sum(weight * loss(same, distance))
        gradients = [
            tf.convert_to_tensor(gradient)
            for gradient in tape.gradient(
                total, encoder.trainable_variables, unconnected_gradients="zero"
            )
        ]
        *summed, total, weights = all_reduce_sum([*gradients, total, tf.reduce_sum(weight)])
        optimizer.apply_gradients(
            [
                (tf.math.divide_no_nan(gradient, weights), variable)
                for gradient, variable in zip(summed, encoder.trainable_variables, strict=True)
            ]
        )
        return tf.math.divide_no_nan(total, weights)

    return step


def _tensors(batch: Batch) -> tuple[Any, ...]:
    return batch.x, batch.left, batch.right, batch.same, batch.weight, batch.views


def _best_epoch(curves: list[Epoch]) -> int:
    return min(curves, key=lambda line: line.calibration_loss).epoch
