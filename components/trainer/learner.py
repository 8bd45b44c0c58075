"""One compiled training step, and the state that a checkpoint stores."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from diptych.components.trainer.augmentation import Augmenter
from diptych.components.trainer.augmentation_layer import AugmentationLayer
from diptych.components.trainer.batches import TrainingBatch
from diptych.components.trainer.network import Network
from diptych.components.trainer.objective import Objective

AllReduceSum = Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class DistributedContext:
    """Rank of this process, number of workers, and the all-reduce between them."""

    rank: int = 0
    world_size: int = 1
    all_reduce_sum: AllReduceSum = list


class Learner:
    """A network and its optimizer, trained step by step.

    Args:
      network: Network to train.
      objective: Training objective.
      optimizer: Optimizer; it is built for the network here.
      augmenter: Augmentation of the inputs.
      decoder_weight: Weight of the decoder's loss, which is added to the objective.
      context: This process among the workers.
    """

    def __init__(
        self,
        network: Network,
        objective: Objective,
        optimizer: keras.optimizers.Optimizer,
        augmenter: Augmenter,
        decoder_weight: float,
        context: DistributedContext,
    ) -> None:
        self.network = network
        self._objective = objective
        self._optimizer = optimizer
        self._augmenter = augmenter
        self._decoder_weight = decoder_weight
        self._context = context
        optimizer.build(network.trainable_variables)
        self._compiled_step: Any = None

    @property
    def needs_noise(self) -> bool:
        """True if augmentation or the decoder uses random numbers."""
        return self._augmenter.noise_size > 0 or self.network.decoder is not None

    def sample_noise(self, generator: np.random.Generator, batch: TrainingBatch) -> np.ndarray:
        """Sample the random numbers of a step: (n, k) float32, for augmentation and decoder."""
        parts = [self._augmenter.sample(generator, batch.x, batch.classes, batch.repeats)]
        if self.network.decoder is not None:
            size = (len(batch.x), self.network.decoder.latent_size)
            parts.append(generator.standard_normal(size, np.float32))
        return np.concatenate(parts, axis=1)

    def step(self, batch: TrainingBatch) -> tf.Tensor:
        """Train on a worker's part of a step; return the loss of the step over all workers."""
        if self._compiled_step is None:
            self._compiled_step = self._compile_step(batch)
        return self._compiled_step(batch.x, batch.noise, batch.terms)

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Replace the weights with their moving average, if enabled, within the context."""
        variables = self.network.trainable_variables
        current = [variable.numpy() for variable in variables]
        self._optimizer.finalize_variable_values(variables)
        try:
            yield
        finally:
            for variable, value in zip(variables, current, strict=True):
                variable.assign(value)

    def average_statistics(self) -> None:
        """Average non-trainable variables, such as batch statistics, over the workers."""
        statistics = [
            variable
            for part in self.network.parts
            for variable in part.non_trainable_variables
            if variable.dtype.startswith("float")
        ]
        if self._context.world_size == 1 or not statistics:
            return
        values = [tf.convert_to_tensor(variable) for variable in statistics]
        sums = tf.function(self._context.all_reduce_sum)(values)
        for variable, total in zip(statistics, sums, strict=True):
            variable.assign(total / self._context.world_size)

    def get_state(self) -> list[np.ndarray]:
        """Return the values of all variables of the network and the optimizer."""
        values = [np.array(variable.numpy()) for variable in self._optimizer.variables]
        return [*self.network.get_weights(), *values]

    def set_state(self, state: list[np.ndarray]) -> None:
        """Restore the values returned by ``get_state``."""
        count = len(self.network.variables)
        self.network.set_weights(state[:count])
        for variable, value in zip(self._optimizer.variables, state[count:], strict=True):
            variable.assign(value)

    def _compile_step(self, batch: TrainingBatch) -> Callable[..., tf.Tensor]:
        """Compile the step for batches of any length with the columns of the given batch.

        Each worker sums its terms. Sums, numbers of terms and gradients are summed over the
        workers, so the result does not depend on how the terms are distributed.
        """
        signature = [_any_length_spec(batch.x), _any_length_spec(batch.noise)]
        signature.append({name: _any_length_spec(column) for name, column in batch.terms.items()})
        # The number of P x K batches in a step is constant.
        if "start" in batch.terms:
            signature[-1]["start"] = tf.TensorSpec(batch.terms["start"].shape, tf.int32)
        network, optimizer, width = self.network, self._optimizer, self._augmenter.noise_size
        augment, variables = AugmentationLayer(), network.trainable_variables
        all_reduce_sum = self._context.all_reduce_sum

        @tf.function(input_signature=signature)
        def step(x: tf.Tensor, noise: tf.Tensor, terms: dict[str, tf.Tensor]) -> tf.Tensor:
            num_rows = tf.shape(x)[0]
            x, noise = _pad_to_one_row(x), _pad_to_one_row(noise)
            x = augment(x, noise[:, :width])
            with tf.GradientTape() as tape:
                embedding = network.encoder(x, training=True)
                total, num_terms = self._objective(embedding[:num_rows], terms)
                sums, counts, loss_weights = [total], [num_terms], [1.0]
                if network.decoder is not None:
                    losses = network.decoder.compute_losses(x, embedding, noise[:, width:])
                    sums.append(tf.reduce_sum(losses[:num_rows]))
                    counts.append(tf.cast(num_rows, tf.float32))
                    loss_weights.append(self._decoder_weight)
            counts = all_reduce_sum(counts)
            scales = [
                tf.math.divide_no_nan(tf.constant(loss_weight), count)
                for loss_weight, count in zip(loss_weights, counts, strict=True)
            ]
            gradients = tape.gradient(
                sums,
                variables,
                output_gradients=[optimizer.scale_loss(scale) for scale in scales],
                unconnected_gradients="zero",
            )
            dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
            reduced = all_reduce_sum([*dense, *sums])
            optimizer.apply_gradients(zip(reduced[: len(dense)], variables, strict=True))
            return tf.add_n(
                [total * scale for total, scale in zip(reduced[len(dense) :], scales, strict=True)]
            )

        return step


def _any_length_spec(values: np.ndarray) -> tf.TensorSpec:
    return tf.TensorSpec([None, *values.shape[1:]], tf.as_dtype(values.dtype))


def _pad_to_one_row(values: tf.Tensor) -> tf.Tensor:
    """Add a row of zeros to an empty batch.

    A worker may have no batch in the last step. With zero rows, oneDNN's pooling fails, and its
    gradient crashes the process (TensorFlow 2.21).
    """
    missing = tf.cast(tf.equal(tf.shape(values)[0], 0), tf.int32)
    return tf.pad(values, [[0, missing], *([0, 0] for _ in values.shape[1:])])
