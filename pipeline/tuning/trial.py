"""A trial: the training loop in a process started, and possibly stopped, by Ray Tune."""

import dataclasses
from pathlib import Path
from typing import Any

from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import DiptychError
from diptych.schemas.learning_curves import EpochMetrics, best_epoch

NUMBER_KEY = "number"  # of a trial in the configuration of Ray Tune


@dataclasses.dataclass(frozen=True)
class TrialJob:
    """Input of the process of a trial."""

    number: int
    model: ModelConfig
    train: TrainConfig
    folder: Path  # of this trial, on a cluster shared by all machines; removed when it ends

    @property
    def pairs(self) -> Path:
        """Folder with Split-train and Split-calibration."""
        return self.folder / "pairs"


def run_trial(config: dict[str, Any], jobs: dict[int, TrialJob], cpus: int) -> None:
    """Train and report after each epoch; resume from a checkpoint if there is one.

    A report contains ``epoch``, ``accuracy``, which is the calibration accuracy at the best epoch
    so far, and ``metrics``, the metrics of the epoch. A ``DiptychError`` is a regular result: the
    last report contains its message as ``failure``, and an accuracy of 0.

    Args:
      config: Contains the ``number`` of the job, the only value that Ray Tune varies.
      jobs: All jobs by number.
      cpus: Number of CPUs of a trial.
    """
    import keras
    import tensorflow as tf
    from ray import tune

    from diptych.components.trainer.checkpoints import load_progress
    from diptych.components.trainer.learner import DistributedContext
    from diptych.components.trainer.loop import train

    job = jobs[config[NUMBER_KEY]]
    tf.config.threading.set_intra_op_parallelism_threads(cpus)
    for gpu in tf.config.list_physical_devices("GPU"):  # may be shared with another trial
        tf.config.experimental.set_memory_growth(gpu, True)
    keras.backend.clear_session()  # clear the previous trial of the same process
    curves: list[EpochMetrics] = []

    def report(metrics: EpochMetrics) -> None:
        curves.append(metrics)
        tune.report(
            {
                "epoch": metrics.epoch,
                "accuracy": best_epoch(curves).calibration_accuracy,
                "metrics": metrics.model_dump(),
            }
        )

    progress = load_progress(job.folder) or {"curves": []}
    for epoch in progress["curves"]:
        report(EpochMetrics(**epoch))
    try:
        train(job.pairs, job.model, job.train, DistributedContext(), report, job.folder)
    except DiptychError as error:
        tune.report({"epoch": len(curves) + 1, "accuracy": 0.0, "failure": str(error)})
    else:
        accuracy = best_epoch(curves).calibration_accuracy
        tune.report({"epoch": len(curves), "accuracy": accuracy, "finished": True})
