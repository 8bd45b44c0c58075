"""One training step, compiled, and all that a checkpoint of it holds."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from diptych.components.trainer.augmentation import Augmenter
from diptych.components.trainer.augmentation_layer import Augment
from diptych.components.trainer.batches import Batch
from diptych.components.trainer.network import Network
from diptych.components.trainer.objective import Objective

AllReduceSum = Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class Place:
    """Which part of the work this process does, and how it talks to the others."""

    rank: int = 0
    workers: int = 1
    all_reduce_sum: AllReduceSum = list


class Learner:
    """A network with its optimiser.

    Args:
      network: what is trained.
      objective: what for.
      optimizer: built for the network here.
      augmenter: new views of the inputs.
      decoder_weight: of the decoder's loss beside that of the objective.
      place: of this process among the workers.
    """

    def __init__(
        self,
        network: Network,
        objective: Objective,
        optimizer: keras.optimizers.Optimizer,
        augmenter: Augmenter,
        decoder_weight: float,
        place: Place,
    ) -> None:
        self.network = network
        self._objective = objective
        self._optimizer = optimizer
        self._augmenter = augmenter
        self._decoder_weight = decoder_weight
        self._place = place
        optimizer.build(network.trainable_variables)
        self._step: Any = None

    @property
    def draws(self) -> bool:
        """Whether anything is drawn for the examples of a batch."""
        return self._augmenter.width > 0 or self.network.decoder is not None

    def draw(self, generator: np.random.Generator, batch: Batch) -> np.ndarray:
        """What the step takes of random numbers: (n, k) float32, for views and for the decoder."""
        parts = [self._augmenter.draw(generator, batch.x, batch.classes, batch.repeats)]
        if self.network.decoder is not None:
            size = (len(batch.x), self.network.decoder.latent_size)
            parts.append(generator.standard_normal(size, np.float32))
        return np.concatenate(parts, axis=1)

    def step(self, batch: Batch) -> tf.Tensor:
        """Trains on a worker's part of a step; returns the loss of the whole step."""
        if self._step is None:
            self._step = self._compiled(batch)
        return self._step(batch.x, batch.drawn, batch.terms)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The moving average of the weights in their place, if there is one."""
        variables = self.network.trainable_variables
        held = [variable.numpy() for variable in variables]
        self._optimizer.finalize_variable_values(variables)
        try:
            yield
        finally:
            for variable, value in zip(variables, held, strict=True):
                variable.assign(value)

    def share_statistics(self) -> None:
        """Means over the workers of what is not trained, such as a batch normalisation's."""
        moving = [
            variable
            for part in self.network.parts
            for variable in part.non_trainable_variables
            if variable.dtype.startswith("float")
        ]
        if self._place.workers == 1 or not moving:
            return
        sums = tf.function(self._place.all_reduce_sum)([tf.convert_to_tensor(v) for v in moving])
        for variable, total in zip(moving, sums, strict=True):
            variable.assign(total / self._place.workers)

    def state(self) -> list[np.ndarray]:
        """Values of all variables of the network and the optimiser."""
        values = [np.array(variable.numpy()) for variable in self._optimizer.variables]
        return [*self.network.get_weights(), *values]

    def restore(self, state: list[np.ndarray]) -> None:
        """Takes what ``state`` gave."""
        count = len(self.network.variables)
        self.network.set_weights(state[:count])
        for variable, value in zip(self._optimizer.variables, state[count:], strict=True):
            variable.assign(value)

    def _compiled(self, batch: Batch) -> Callable[..., tf.Tensor]:
        """The step for batches such as this one, of any length.

        Each worker sums its terms; sums, numbers and gradients are added up over the workers, so
        that the result does not depend on how the terms are shared out.
        """
        signature = [_any_length(batch.x), _any_length(batch.drawn)]
        signature.append({name: _any_length(column) for name, column in batch.terms.items()})
        # Of P x K batches, there are always as many.
        if "start" in batch.terms:
            signature[-1]["start"] = tf.TensorSpec(batch.terms["start"].shape, tf.int32)
        network, optimizer, width = self.network, self._optimizer, self._augmenter.width
        augment, variables = Augment(), network.trainable_variables
        all_reduce_sum = self._place.all_reduce_sum

        @tf.function(input_signature=signature)
        def step(x: tf.Tensor, drawn: tf.Tensor, terms: dict[str, tf.Tensor]) -> tf.Tensor:
            rows = tf.shape(x)[0]
            x, drawn = _at_least_one(x), _at_least_one(drawn)
            x = augment(x, drawn[:, :width])
            with tf.GradientTape() as tape:
                embedding = network.encoder(x, training=True)
                total, number = self._objective(embedding[:rows], terms)
                sums, numbers, shares = [total], [number], [1.0]
                if network.decoder is not None:
                    losses = network.decoder.losses_of(x, embedding, drawn[:, width:])
                    sums.append(tf.reduce_sum(losses[:rows]))
                    numbers.append(tf.cast(rows, tf.float32))
                    shares.append(self._decoder_weight)
            numbers = all_reduce_sum(numbers)
            scales = [
                tf.math.divide_no_nan(tf.constant(share), count)
                for share, count in zip(shares, numbers, strict=True)
            ]
            gradients = tape.gradient(
                sums,
                variables,
                output_gradients=[optimizer.scale_loss(scale) for scale in scales],
                unconnected_gradients="zero",
            )
            dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
            parts = all_reduce_sum([*dense, *sums])
            optimizer.apply_gradients(zip(parts[: len(dense)], variables, strict=True))
            return tf.add_n(
                [part * scale for part, scale in zip(parts[len(dense) :], scales, strict=True)]
            )

        return step


def _any_length(values: np.ndarray) -> tf.TensorSpec:
    return tf.TensorSpec([None, *values.shape[1:]], tf.as_dtype(values.dtype))


def _at_least_one(values: tf.Tensor) -> tf.Tensor:
    """One row of zeros where there are none.

    A worker may be left without a batch in the last step. Of no rows, oneDNN's pooling makes an
    error or, in its gradient, the end of the process (TensorFlow 2.21).
    """
    missing = tf.cast(tf.equal(tf.shape(values)[0], 0), tf.int32)
    return tf.pad(values, [[0, missing], *([0, 0] for _ in values.shape[1:])])
