"""One trial: the training loop in a process of its own, which Ray Tune starts and may stop."""

import dataclasses
from pathlib import Path
from typing import Any

from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import DiptychError
from diptych.schemas.learning_curves import EpochMetrics, best_epoch

NUMBER = "number"


@dataclasses.dataclass(frozen=True)
class TrialJob:
    """All that the process of a trial needs to know."""

    number: int
    model: ModelConfig
    train: TrainConfig
    folder: Path  # of this trial, on a cluster one that all machines share; removed at its end

    @property
    def pairs(self) -> Path:
        """Folder with Split-train and Split-calibration."""
        return self.folder / "pairs"


def run_trial(config: dict[str, Any], jobs: dict[int, TrialJob], cpus: int) -> None:
    """Trains, and reports after each epoch; goes on from the checkpoint of an earlier start.

    A report holds ``epoch``, the ``accuracy`` of the weights that would be kept, and the ``line``
    of the curves. A failure that Diptych explains is an outcome like others, so the last report
    says it (``failure``), with the accuracy of a model that tells nothing.

    Args:
      config: the ``number`` of the job, which is all that Ray Tune varies.
      jobs: all, by number.
      cpus: that a trial may use.
    """
    import keras
    import tensorflow as tf
    from ray import tune

    from diptych.components.trainer.checkpoints import load_progress
    from diptych.components.trainer.learner import DistributedContext
    from diptych.components.trainer.loop import train

    job = jobs[config[NUMBER]]
    tf.config.threading.set_intra_op_parallelism_threads(cpus)
    for gpu in tf.config.list_physical_devices("GPU"):  # which another trial may share
        tf.config.experimental.set_memory_growth(gpu, True)
    keras.backend.clear_session()  # of the trial before, in the same process
    curves: list[EpochMetrics] = []

    def report(line: EpochMetrics) -> None:
        curves.append(line)
        tune.report(
            {
                "epoch": line.epoch,
                "accuracy": best_epoch(curves).calibration_accuracy,
                "line": line.model_dump(),
            }
        )

    progress = load_progress(job.folder) or {"curves": []}
    for line in progress["curves"]:
        report(EpochMetrics(**line))
    try:
        train(job.pairs, job.model, job.train, DistributedContext(), report, job.folder)
    except DiptychError as error:
        tune.report({"epoch": len(curves) + 1, "accuracy": 0.0, "failure": str(error)})
    else:
        accuracy = best_epoch(curves).calibration_accuracy
        tune.report({"epoch": len(curves), "accuracy": accuracy, "finished": True})
