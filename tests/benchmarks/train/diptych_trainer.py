"""(a) Diptych's trainer, in process, on PairGen's shards.

With its defaults, but for two that would make the comparison uneven: no augmentation, as nobody
else has any, and a step for each P x K batch, as in PyTorch.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.train.course import THREADS, Clock, Result

_EPOCHS = 60


class _TimeIsUp(Exception):
    pass


def run(folder: Path, limit_s: float) -> Result:
    """Trains for ``limit_s`` seconds; the trainer itself judges each epoch, on the same pairs."""
    start = time.perf_counter()
    import tensorflow as tf

    from diptych.components.trainer import loop
    from diptych.components.trainer.learner import Place
    from diptych.schemas.config.model import Model
    from diptych.schemas.config.train import Augmentation, Train

    result = Result(imports=time.perf_counter() - start)
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    start = time.perf_counter()
    clock, reading = Clock(), Clock()

    class TimedReader(loop.ShardReader):
        """Tells the time of the steps from that of reading, and the first step from the others."""

        def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Any]:
            clock.start()
            reading.start()
            for batch in super().epoch(epoch, first_step):
                reading.stop()
                yield batch
                if result.set_up:
                    result.examples += len(batch.x)
                    result.pairs += len(batch.terms["left"])
                else:  # the first step
                    result.set_up = time.perf_counter() - start
                    clock.start()
                    reading.seconds = 0.0
                reading.start()
            reading.stop()
            result.training = clock.stop()

    def judged(line: Any) -> None:
        result.curve.append((result.training, line.calibration_accuracy))
        if result.training > limit_s:
            raise _TimeIsUp

    loop.ShardReader = TimedReader
    settings = Train(
        num_workers=0,
        epochs=_EPOCHS,
        patience=_EPOCHS,
        batches_per_step=1,
        augmentation=Augmentation(of="none"),
    )
    with contextlib.suppress(_TimeIsUp):
        loop.train(folder / "pairs", Model(), settings, Place(), judged)
    result.input = reading.seconds
    return result
