"""Diptych's trainer in one process, on PairGen's shards.

It uses the defaults with two exceptions for a fair comparison: no augmentation, because the other
implementations have none, and one P x K batch per step, as in PyTorch.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.train.protocol import THREADS, Measurement, Stopwatch

_EPOCHS = 60


class _TimeLimitReached(Exception):
    pass


def run(folder: Path, limit_s: float) -> Measurement:
    """Train for ``limit_s`` seconds. The trainer evaluates each epoch on the held-out pairs."""
    start = time.perf_counter()
    import tensorflow as tf

    from diptych.components.trainer import loop
    from diptych.components.trainer.learner import DistributedContext
    from diptych.schemas.config.model import ModelConfig
    from diptych.schemas.config.train import AugmentationConfig, TrainConfig

    result = Measurement(imports=time.perf_counter() - start)
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    start = time.perf_counter()
    training_time, input_time = Stopwatch(), Stopwatch()

    class TimedReader(loop.ShardReader):
        """Measure the time of reading and of training, without the first step."""

        def iter_epoch(self, epoch: int, first_step: int = 0) -> Iterator[Any]:
            training_time.start()
            input_time.start()
            for batch in super().iter_epoch(epoch, first_step):
                input_time.stop()
                yield batch
                if result.set_up:
                    result.examples += len(batch.x)
                    result.pairs += len(batch.terms["left"])
                else:  # the first step
                    result.set_up = time.perf_counter() - start
                    training_time.start()
                    input_time.seconds = 0.0
                input_time.start()
            input_time.stop()
            result.training = training_time.stop()

    def on_epoch(metrics: Any) -> None:
        result.curve.append((result.training, metrics.calibration_accuracy))
        if result.training > limit_s:
            raise _TimeLimitReached

    loop.ShardReader = TimedReader
    settings = TrainConfig(
        num_workers=0,
        epochs=_EPOCHS,
        patience=_EPOCHS,
        batches_per_step=1,
        augmentation=AugmentationConfig(apply_to="none"),
    )
    with contextlib.suppress(_TimeLimitReached):
        loop.train(folder / "pairs", ModelConfig(), settings, DistributedContext(), on_epoch)
    result.input = input_time.seconds
    return result
