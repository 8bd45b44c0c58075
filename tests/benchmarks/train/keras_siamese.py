"""A typical Keras script: copied pairs, one functional model called on both sides.

Architecture, pairs and settings of the Keras code example "Image similarity estimation using a
Siamese Network with a contrastive loss" (Mehdi, 2021; keras.io, examples/vision/
siamese_contrastive). Each digit is in one positive and one negative pair as the anchor, sampled
once. The network: pixels from 0 to 255, batch normalization, two tanh convolutions with average
pooling, an embedding of size 10; then the Euclidean distance, batch normalization and a sigmoid.
Contrastive loss with margin 1, RMSprop, batches of 16. As in the example, 1 is a positive pair, and
the output is high for it. The plots are omitted, and the common evaluation replaces the validation.
"""

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.train.protocol import THREADS, Digits, Measurement, Stopwatch, pair_accuracy

_BATCH = 16
_MARGIN = 1.0


def run(folder: Path, limit_s: float) -> Measurement:
    """Train for ``limit_s`` seconds, with an evaluation after each epoch."""
    start = time.perf_counter()
    import keras
    import tensorflow as tf

    result = Measurement(imports=time.perf_counter() - start)
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    keras.utils.set_random_seed(0)
    digits = Digits.read(folder)

    start = time.perf_counter()
    pairs, labels = _make_pairs(digits.train_x.astype("float32"), digits.train_y)
    result.pairs_made = time.perf_counter() - start

    start = time.perf_counter()
    siamese = _build_siamese()
    sides = [pairs[:, 0], pairs[:, 1]]
    held = digits.held_x.astype("float32")
    held_sides = [held[digits.left], held[digits.right]]
    training_time = Stopwatch()

    class HeldOutEvaluation(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch:
                training_time.start()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if not result.set_up:
                result.set_up = time.perf_counter() - start
                training_time.start()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            result.training = training_time.stop()
            same = siamese.predict(held_sides, batch_size=1024, verbose=0).ravel()
            result.curve.append((result.training, pair_accuracy(-same, digits.same)))
            result.pairs = (epoch + 1) * len(labels) - _BATCH
            self.model.stop_training = result.training > limit_s

    fit = {"batch_size": _BATCH, "epochs": 10_000, "verbose": 0, "callbacks": [HeldOutEvaluation()]}
    siamese.fit(sides, labels, **fit)
    result.examples = 2 * result.pairs
    result.input = _measure_input_s(sides, labels) * result.pairs / len(labels)
    return result


def _build_siamese() -> Any:
    import keras
    from keras import layers, ops

    inputs = layers.Input((28, 28, 1))
    x = layers.BatchNormalization()(inputs)
    for filters in (4, 16):
        x = layers.Conv2D(filters, (5, 5), activation="tanh")(x)
        x = layers.AveragePooling2D(pool_size=(2, 2))(x)
    x = layers.BatchNormalization()(layers.Flatten()(x))
    tower = keras.Model(inputs, layers.Dense(10, activation="tanh")(x))

    def euclidean_distance(sides: Any) -> Any:
        squared = ops.sum(ops.square(sides[0] - sides[1]), axis=1, keepdims=True)
        return ops.sqrt(ops.maximum(squared, keras.backend.epsilon()))

    def contrastive_loss(same: Any, predicted: Any) -> Any:
        negative_loss = ops.square(predicted)
        positive_loss = ops.square(ops.maximum(_MARGIN - predicted, 0))
        return ops.mean((1 - same) * negative_loss + same * positive_loss)

    left, right = layers.Input((28, 28, 1)), layers.Input((28, 28, 1))
    distance = layers.Lambda(euclidean_distance, output_shape=(1,))([tower(left), tower(right)])
    output = layers.Dense(1, activation="sigmoid")(layers.BatchNormalization()(distance))
    siamese = keras.Model([left, right], output)
    siamese.compile(loss=contrastive_loss, optimizer="RMSprop", metrics=["accuracy"])
    return siamese


def _make_pairs(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    generator = random.Random(0)
    members = [np.flatnonzero(y == label) for label in range(int(y.max()) + 1)]
    pairs, labels = [], []
    for anchor, label in zip(x, y.tolist(), strict=True):
        other = generator.choice([number for number in range(len(members)) if number != label])
        positive, negative = (x[generator.choice(members[chosen])] for chosen in (label, other))
        pairs += [[anchor, positive], [anchor, negative]]
        labels += [1, 0]
    return np.array(pairs), np.array(labels, np.float32)


def _measure_input_s(sides: list[np.ndarray], labels: np.ndarray) -> float:
    """Time one epoch of ``fit``'s input pipeline alone, as it cannot be measured within ``fit``."""
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

    adapter = ArrayDataAdapter(sides, labels, batch_size=_BATCH, shuffle=True)
    start = time.perf_counter()
    for _ in adapter.get_tf_dataset():
        pass
    return time.perf_counter() - start
