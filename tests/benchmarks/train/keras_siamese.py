"""(b) The usual Keras script: copied pairs, one functional model called on both sides.

Architecture, pairs and settings of the Keras code example "Image similarity estimation using a
Siamese Network with a contrastive loss" (Mehdi, 2021; keras.io, examples/vision/
siamese_contrastive): each digit gives a same and a different pair, drawn once; pixels from 0 to
255 into a batch normalisation, two tanh convolutions with average pooling, an embedding of 10;
the Euclidean distance, normalised, into a sigmoid; contrastive loss with margin 1, RMSprop,
batches of 16. There, too, 1 is a same pair, and the output is high for it. Left out are the plots,
and the validation of each epoch, in whose place comes ours.
"""

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.train.course import THREADS, Clock, Digits, Result, pair_accuracy

_BATCH = 16
_MARGIN = 1.0


def run(folder: Path, limit_s: float) -> Result:
    """Trains for ``limit_s`` seconds, judged after each epoch."""
    start = time.perf_counter()
    import keras
    import tensorflow as tf

    result = Result(imports=time.perf_counter() - start)
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    keras.utils.set_random_seed(0)
    digits = Digits.read(folder)

    start = time.perf_counter()
    pairs, labels = _make_pairs(digits.train_x.astype("float32"), digits.train_y)
    result.pairs_made = time.perf_counter() - start

    start = time.perf_counter()
    siamese = _siamese()
    sides = [pairs[:, 0], pairs[:, 1]]
    held = digits.held_x.astype("float32")
    held_sides = [held[digits.left], held[digits.right]]
    clock = Clock()

    class Judge(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch:
                clock.start()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if not result.set_up:
                result.set_up = time.perf_counter() - start
                clock.start()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            result.training = clock.stop()
            same = siamese.predict(held_sides, batch_size=1024, verbose=0).ravel()
            result.curve.append((result.training, pair_accuracy(-same, digits.same)))
            result.pairs = (epoch + 1) * len(labels) - _BATCH
            self.model.stop_training = result.training > limit_s

    fit = {"batch_size": _BATCH, "epochs": 10_000, "verbose": 0, "callbacks": [Judge()]}
    siamese.fit(sides, labels, **fit)
    result.examples = 2 * result.pairs
    result.input = _input_s(sides, labels) * result.pairs / len(labels)
    return result


def _siamese() -> Any:
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
        apart = ops.square(predicted)
        together = ops.square(ops.maximum(_MARGIN - predicted, 0))
        return ops.mean((1 - same) * apart + same * together)

    left, right = layers.Input((28, 28, 1)), layers.Input((28, 28, 1))
    distance = layers.Lambda(euclidean_distance, output_shape=(1,))([tower(left), tower(right)])
    output = layers.Dense(1, activation="sigmoid")(layers.BatchNormalization()(distance))
    siamese = keras.Model([left, right], output)
    siamese.compile(loss=contrastive_loss, optimizer="RMSprop", metrics=["accuracy"])
    return siamese


def _make_pairs(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    draw = random.Random(0)
    members = [np.flatnonzero(y == label) for label in range(int(y.max()) + 1)]
    pairs, labels = [], []
    for one, label in zip(x, y.tolist(), strict=True):
        other = draw.choice([number for number in range(len(members)) if number != label])
        pairs += [[one, x[draw.choice(members[label])]], [one, x[draw.choice(members[other])]]]
        labels += [1, 0]
    return np.array(pairs), np.array(labels, np.float32)


def _input_s(sides: list[np.ndarray], labels: np.ndarray) -> float:
    """Seconds of an epoch of input alone, as ``fit`` reads it: within it, they cannot be told."""
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

    adapter = ArrayDataAdapter(sides, labels, batch_size=_BATCH, shuffle=True)
    start = time.perf_counter()
    for _ in adapter.get_tf_dataset():
        pass
    return time.perf_counter() - start
