"""(d) Diptych's trainer on one core in this process, or on several with a Ray worker on each."""

import os
from pathlib import Path

import numpy as np

_EPOCHS = 8
_BATCHES_PER_STEP = 8


def run(folder: Path, workers: int) -> float:
    """Trains on so many cores; returns examples/s, the median of the epochs after the first."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:workers])
    import tensorflow as tf

    from diptych.components.trainer.launch import train_anywhere
    from diptych.schemas.config.model import Model
    from diptych.schemas.config.train import Train

    settings = Train(
        num_workers=workers if workers > 1 else 0,
        cpus_per_worker=1,
        batches_per_step=_BATCHES_PER_STEP,
        epochs=_EPOCHS,
        patience=_EPOCHS,
    )
    if workers == 1:
        tf.config.threading.set_intra_op_parallelism_threads(1)
    _, curves = train_anywhere(folder / "pairs", Model(), settings, folder / f"workers-{workers}")
    return float(np.median([line.examples_per_s for line in curves[1:]]))
