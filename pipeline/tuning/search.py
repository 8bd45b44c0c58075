"""Trials side by side on Ray Tune; those that fall behind are stopped early."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from diptych.components.trainer.ray_connection import ray_session
from diptych.pipeline.tuning.trial import NUMBER, TrialJob, run_trial
from diptych.pipeline.tuning.trial_resources import choose_trial_resources
from diptych.pipeline.tuning.trial_result import TrialResult
from diptych.schemas.config.config import Config
from diptych.schemas.learning_curves import EpochMetrics, best_epoch

_REDUCTION = 3  # one in three goes on; the eta of the paper
_RAY = "ray"


def search(
    config: Config,
    jobs: list[TrialJob],
    before: Iterable[TrialResult],
    folder: Path,
    on_end: Callable[[TrialResult], None],
) -> None:
    """Runs trials, as many at once as there are CPUs for.

    Trials are compared at the same epochs by the accuracy on the calibration split of the weights
    that each would keep, with asynchronous successive make_asha_scheduler (Li et al., "A System for Massively
    Parallel Hyperparameter Tuning", MLSys 2020). Which are stopped depends on which come first, so
    on the machine; what a trial comes to at an epoch does not.

    Args:
      config: of the search; ``tune`` and where to train.
      jobs: the trials to run.
      before: outcomes of an earlier start, for trials to be compared with.
      folder: for what Ray Tune writes; on a cluster, one that all machines share.
      on_end: called for each trial that has come to its end.

    Raises:
      TrainingError: Ray does not start, or has not what a trial needs.
    """
    scheduler = make_asha_scheduler(config, jobs, before)
    shutil.rmtree(folder / _RAY, ignore_errors=True)
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # it ends the search as if it were whole
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    whole = config.train.model_copy(update={"num_workers": 1, "cpus_per_worker": None})
    with ray_session(whole, config.model):
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        resources = choose_trial_resources(config, len(jobs), machines)
        by_number = {job.number: job for job in jobs}
        trainable = tune.with_parameters(run_trial, jobs=by_number, cpus=int(resources["CPU"]))
        tuner = tune.Tuner(
            tune.with_resources(trainable, resources),
            param_space={NUMBER: tune.grid_search(list(by_number))},
            tune_config=tune.TuneConfig(
                scheduler=scheduler,
                reuse_actors=True,  # importing TensorFlow takes longer than many a trial
                trial_name_creator=_name,
                trial_dirname_creator=_name,
            ),
            run_config=tune.RunConfig(
                name=_RAY,
                storage_path=str(folder),
                failure_config=tune.FailureConfig(max_failures=config.train.max_failures),
                callbacks=[_Bookkeeper(by_number, on_end)],
                verbose=0,
            ),
        )
        tuner.fit()
    shutil.rmtree(folder / _RAY, ignore_errors=True)


def make_asha_scheduler(config: Config, jobs: list[TrialJob], before: Iterable[TrialResult]) -> ASHAScheduler:
    """A scheduler that knows how earlier trials did: Ray Tune itself does not keep that."""
    epochs = max(job.train.epochs for job in jobs)
    scheduler = ASHAScheduler(
        time_attr="epoch",
        metric="accuracy",
        mode="max",
        max_t=epochs,
        grace_period=min(config.tune.grace_epochs, epochs),
        reduction_factor=_REDUCTION,
    )
    for outcome in before:
        known = SimpleNamespace(trial_id=f"before-{outcome.number}")
        scheduler.on_trial_add(None, known)
        for epoch in range(1, len(outcome.curves) + 1):
            accuracy = best_epoch(outcome.curves[:epoch]).calibration_accuracy
            scheduler.on_trial_result(None, known, {"epoch": epoch, "accuracy": accuracy})
    return scheduler


def _name(trial: Any) -> str:
    return str(trial.config[NUMBER])


class _Bookkeeper(tune.Callback):
    """Collects the curves, and says how each trial ended."""

    def __init__(self, jobs: dict[int, TrialJob], on_end: Callable[[TrialResult], None]) -> None:
        self._jobs = jobs
        self._curves: dict[int, dict[int, EpochMetrics]] = {number: {} for number in jobs}
        self._on_end = on_end

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray Tune stores it for a restart of its own kind, and a console cannot be."""
        return {}

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "line" in result:
            line = EpochMetrics(**result["line"])
            self._curves[trial.config[NUMBER]][line.epoch] = line

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        job, last = self._jobs[trial.config[NUMBER]], trial.last_result
        curves = self._curves_of(job.number)
        if "failure" in last:
            outcome = TrialResult(job.number, "failed", curves, last["failure"])
        elif "finished" in last or len(curves) == job.train.epochs:
            outcome = TrialResult(job.number, "finished", curves)
        else:
            outcome = TrialResult(job.number, "stopped", curves)
        self._on_end(outcome)
        shutil.rmtree(job.folder, ignore_errors=True)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        number = trial.config[NUMBER]
        lines = [line.strip() for line in str(trial.get_error() or "").splitlines()]
        reason = next((line for line in reversed(lines) if line), "its process ended")
        self._on_end(TrialResult(number, "lost", self._curves_of(number), reason))

    def _curves_of(self, number: int) -> list[EpochMetrics]:
        return [line for _, line in sorted(self._curves[number].items())]
