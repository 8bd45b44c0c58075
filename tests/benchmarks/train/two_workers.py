"""Diptych's trainer on one core in this process, or with a Ray worker on each of several."""

import os
from pathlib import Path

import numpy as np

_EPOCHS = 8
_BATCHES_PER_STEP = 8


def run(folder: Path, num_workers: int) -> float:
    """Train on ``num_workers`` cores; return the median examples/s of all but the first epoch."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:num_workers])
    import tensorflow as tf

    from diptych.components.trainer.launch import run_training
    from diptych.schemas.config.model import ModelConfig
    from diptych.schemas.config.train import TrainConfig

    settings = TrainConfig(
        num_workers=num_workers if num_workers > 1 else 0,
        cpus_per_worker=1,
        batches_per_step=_BATCHES_PER_STEP,
        epochs=_EPOCHS,
        patience=_EPOCHS,
    )
    if num_workers == 1:
        tf.config.threading.set_intra_op_parallelism_threads(1)
    checkpoints = folder / f"workers-{num_workers}"
    _, curves = run_training(folder / "pairs", ModelConfig(), settings, checkpoints)
    return float(np.median([metrics.examples_per_s for metrics in curves[1:]]))
