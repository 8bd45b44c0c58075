"""Parallel trials on Ray Tune, with early stopping of poor trials."""

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
from diptych.pipeline.tuning.trial import NUMBER_KEY, TrialJob, run_trial
from diptych.pipeline.tuning.trial_resources import choose_trial_resources
from diptych.pipeline.tuning.trial_result import TrialResult
from diptych.schemas.config.config import Config
from diptych.schemas.learning_curves import EpochMetrics, best_epoch

_REDUCTION_FACTOR = 3  # eta of the paper: the best third of the trials continues
_RAY_FOLDER = "ray"


def run_ray_trials(
    config: Config,
    jobs: list[TrialJob],
    earlier: Iterable[TrialResult],
    folder: Path,
    on_end: Callable[[TrialResult], None],
) -> None:
    """Run trials in parallel, limited by the available CPUs and GPUs.

    Asynchronous successive halving (Li et al., "A System for Massively Parallel Hyperparameter
    Tuning", MLSys 2020) compares trials at the same epochs. The metric is the calibration accuracy
    at the best epoch so far. Which trials are stopped depends on which finish first, and so on the
    machine; the result of a trial at an epoch does not.

    Args:
      config: Configuration of the search, with the sections ``tune`` and ``train``.
      jobs: Trials to run.
      earlier: Results of an earlier call, with which the trials are compared.
      folder: Folder for the files of Ray Tune; on a cluster, shared by all machines.
      on_end: Called for each trial that has ended.

    Raises:
      TrainingError: If Ray does not start, or lacks the resources of a trial.
    """
    scheduler = make_asha_scheduler(config, jobs, earlier)
    shutil.rmtree(folder / _RAY_FOLDER, ignore_errors=True)
    # The handler would end an interrupted search like a complete one.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    # Ray uses the complete machine; each trial reserves its share.
    train = config.train.model_copy(update={"num_workers": 1, "cpus_per_worker": None})
    with ray_session(train, config.model):
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        resources = choose_trial_resources(config, len(jobs), machines)
        jobs_by_number = {job.number: job for job in jobs}
        trainable = tune.with_parameters(run_trial, jobs=jobs_by_number, cpus=int(resources["CPU"]))
        tuner = tune.Tuner(
            tune.with_resources(trainable, resources),
            param_space={NUMBER_KEY: tune.grid_search(list(jobs_by_number))},
            tune_config=tune.TuneConfig(
                scheduler=scheduler,
                reuse_actors=True,  # importing TensorFlow can take longer than a trial
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
            ),
            run_config=tune.RunConfig(
                name=_RAY_FOLDER,
                storage_path=str(folder),
                failure_config=tune.FailureConfig(max_failures=config.train.max_failures),
                callbacks=[_ResultCollector(jobs_by_number, on_end)],
                verbose=0,
            ),
        )
        tuner.fit()
    shutil.rmtree(folder / _RAY_FOLDER, ignore_errors=True)


def make_asha_scheduler(
    config: Config, jobs: list[TrialJob], earlier: Iterable[TrialResult]
) -> ASHAScheduler:
    """Create a scheduler with the results of earlier trials, which Ray Tune does not store."""
    epochs = max(job.train.epochs for job in jobs)
    scheduler = ASHAScheduler(
        time_attr="epoch",
        metric="accuracy",
        mode="max",
        max_t=epochs,
        grace_period=min(config.tune.grace_epochs, epochs),
        reduction_factor=_REDUCTION_FACTOR,
    )
    for result in earlier:
        trial = SimpleNamespace(trial_id=f"earlier-{result.number}")
        scheduler.on_trial_add(None, trial)
        for epoch in range(1, len(result.curves) + 1):
            accuracy = best_epoch(result.curves[:epoch]).calibration_accuracy
            scheduler.on_trial_result(None, trial, {"epoch": epoch, "accuracy": accuracy})
    return scheduler


def _trial_name(trial: Any) -> str:
    return str(trial.config[NUMBER_KEY])


class _ResultCollector(tune.Callback):
    """Collect the learning curves, and report the result of each trial."""

    def __init__(self, jobs: dict[int, TrialJob], on_end: Callable[[TrialResult], None]) -> None:
        self._jobs = jobs
        self._curves: dict[int, dict[int, EpochMetrics]] = {number: {} for number in jobs}
        self._on_end = on_end

    def __getstate__(self) -> dict[str, Any]:
        """Return no state: Ray Tune pickles callbacks, but a console cannot be pickled."""
        return {}

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "metrics" in result:
            metrics = EpochMetrics(**result["metrics"])
            self._curves[trial.config[NUMBER_KEY]][metrics.epoch] = metrics

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        job, last = self._jobs[trial.config[NUMBER_KEY]], trial.last_result
        curves = self._curves_of(job.number)
        if "failure" in last:
            result = TrialResult(job.number, "failed", curves, last["failure"])
        elif "finished" in last or len(curves) == job.train.epochs:
            result = TrialResult(job.number, "finished", curves)
        else:
            result = TrialResult(job.number, "stopped", curves)
        self._on_end(result)
        shutil.rmtree(job.folder, ignore_errors=True)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        number = trial.config[NUMBER_KEY]
        lines = [line.strip() for line in str(trial.get_error() or "").splitlines()]
        reason = next((line for line in reversed(lines) if line), "its process ended")
        self._on_end(TrialResult(number, "lost", self._curves_of(number), reason))

    def _curves_of(self, number: int) -> list[EpochMetrics]:
        return [metrics for _, metrics in sorted(self._curves[number].items())]
