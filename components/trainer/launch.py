"""Training as configured: in this process, or on Ray workers with restarts."""

import itertools
import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from diptych.components.trainer.checkpoints import load_checkpoint, load_progress
from diptych.components.trainer.failures import (
    failure_limit_message,
    find_worker_error,
    summarize_failure,
)
from diptych.components.trainer.learning_curves import log_epoch
from diptych.components.trainer.ray_connection import ray_session, wait_for_resources
from diptych.components.trainer.ray_resources import ResourceRequest
from diptych.components.trainer.ray_worker import train_loop_per_worker
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import TrainingError
from diptych.schemas.learning_curves import EpochMetrics

_POLL_INTERVAL_S = 0.2
_progress = logging.getLogger("diptych.progress")


def run_training(
    pairs: Path,
    model: ModelConfig,
    settings: TrainConfig,
    checkpoints: Path,
    on_epoch: Callable[[EpochMetrics], None] = lambda metrics: None,
) -> tuple[list[np.ndarray], list[EpochMetrics]]:
    """Train in this process (``num_workers=0``) or on Ray.

    Args:
      pairs: Folder of the pair set. On a cluster, every worker must be able to read it.
      model: Encoder and loss.
      settings: Workers and schedule.
      checkpoints: Folder for the checkpoints of this training run only. On a cluster, all machines
        must share it. Training resumes from a checkpoint in it. It is removed after training.
      on_epoch: Called at the end of each epoch; first for the epochs of an interrupted run.

    Returns:
      Weights of the network, and the learning curves.

    Raises:
      TrainingError: If Ray does not start or lacks resources, workers were lost too often, the loss
        is not finite, memory ran out, or the folder of the checkpoints is a link.
    """
    checkpoints.mkdir(parents=True, exist_ok=True)
    _require_no_link(checkpoints)
    if load_progress(checkpoints) is not None:
        _log_permanently(
            "resuming from %s of an interrupted run", _describe_resume_position(checkpoints)
        )
    for metrics in _load_epochs(checkpoints):
        on_epoch(metrics)

    def report(metrics: EpochMetrics) -> None:
        log_epoch(metrics, settings)
        on_epoch(metrics)

    if settings.num_workers == 0:
        from diptych.components.trainer.learner import DistributedContext
        from diptych.components.trainer.loop import train

        weights, curves = train(pairs, model, settings, DistributedContext(), report, checkpoints)
    else:
        with ray_session(settings, model) as request:
            weights, curves = _train_on_ray(pairs, model, settings, checkpoints, request, report)
    shutil.rmtree(checkpoints)
    return weights, curves


def _require_no_link(checkpoints: Path) -> None:
    """Raise a TrainingError if the folder, which is deleted later, is elsewhere."""
    for folder in (checkpoints, checkpoints.parent):
        if folder.is_symlink():
            raise TrainingError(
                f"{folder} is a link to {folder.resolve()}. Checkpoints are deleted after "
                "training, so their folder must be in the pipeline root: delete the link."
            )


def _train_on_ray(
    pairs: Path,
    model: ModelConfig,
    settings: TrainConfig,
    checkpoints: Path,
    request: ResourceRequest,
    on_epoch: Callable[[EpochMetrics], None],
) -> tuple[list[np.ndarray], list[EpochMetrics]]:
    """Start the workers, and restart them when one is lost.

    The attempts are counted here because Ray does not distinguish a loss that is not finite from a
    lost machine.
    """
    from ray.exceptions import RayError
    from ray.train import TrainingFailedError

    config = {
        "pairs": str(pairs),
        "model": model.model_dump_json(),
        "settings": settings.model_dump_json(),
        "checkpoints": str(checkpoints),
        "cpus": request.cpus_per_worker,
    }
    with _keyboard_interrupts(), _poll_epochs(checkpoints, on_epoch):
        for num_failures in itertools.count(1):
            wait_for_resources(request, settings.resources_timeout_s)
            try:
                _run_attempt(config, request, checkpoints)
                break
            except (TrainingFailedError, RayError) as error:
                worker_error = find_worker_error(error)
                if worker_error is not None:
                    raise worker_error from error
                reason = summarize_failure(error)
                position = _describe_resume_position(checkpoints)
                if num_failures > settings.max_failures:
                    raise TrainingError(
                        failure_limit_message(num_failures, reason, position, settings)
                    ) from error
                _log_permanently(
                    "a worker was lost (%d of at most %d), resuming from %s: %s",
                    num_failures,
                    settings.max_failures,
                    position,
                    reason,
                )
    checkpoint = load_checkpoint(checkpoints)
    if checkpoint is None:
        raise TrainingError(
            f"The workers saved no checkpoint in {checkpoints}. On a cluster, it must be a folder "
            "that this machine shares with all machines of the cluster."
        )
    progress, arrays = checkpoint
    return arrays["best"], [EpochMetrics(**metrics) for metrics in progress["curves"]]


def _run_attempt(config: dict[str, Any], request: ResourceRequest, checkpoints: Path) -> None:
    """Run one attempt; Ray's exception for a failed worker propagates."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    class QuickExitTrainer(TensorflowTrainer):
        def _create_default_callbacks(self) -> list[Any]:
            """Omit the callback that waits 12 s for a dashboard, which is disabled here.

            It removes the placement group of a dead controller, which Ray itself does as well.
            """
            unwanted = "PlacementGroupCleanerCallback"
            callbacks = super()._create_default_callbacks()
            return [callback for callback in callbacks if type(callback).__name__ != unwanted]

    QuickExitTrainer(
        train_loop_per_worker,
        train_loop_config=config,
        scaling_config=ScalingConfig(
            num_workers=request.num_workers,
            use_gpu=request.gpus_per_worker > 0,
            resources_per_worker=request.bundle,
        ),
        run_config=RunConfig(
            storage_path=str(checkpoints / "ray"),
            # The controller limit counts workers that did not start; by default it is infinite.
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
        ),
    ).fit()


def _log_permanently(message: str, *values: object) -> None:
    """Log a line that the console does not overwrite."""
    _progress.info(message, *values, extra={"keep": True})


def _describe_resume_position(checkpoints: Path) -> str:
    """Describe the epoch and step after the last checkpoint."""
    progress = load_progress(checkpoints)
    if progress is None:
        return "the start"
    return f"epoch {progress['epoch'] + 1}, step {len(progress['losses']) + 1}"


@contextmanager
def _keyboard_interrupts() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt.

    Ray's SIGINT handler exits the program silently and stays installed. After its SIGTERM handler,
    the process aborts within 3 s.
    """
    previous_handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, previous_handler)


@contextmanager
def _poll_epochs(checkpoints: Path, on_epoch: Callable[[EpochMetrics], None]) -> Iterator[None]:
    """Report new epochs in the checkpoint, from a thread.

    Ray's own callbacks run in a separate process whose log is not shown.
    """
    done = threading.Event()
    num_reported = len(_load_epochs(checkpoints))

    def poll() -> None:
        nonlocal num_reported
        is_last_poll = False
        while not is_last_poll:
            is_last_poll = done.wait(_POLL_INTERVAL_S)
            epochs = _load_epochs(checkpoints)
            for metrics in epochs[num_reported:]:
                on_epoch(metrics)
            num_reported = len(epochs)

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _load_epochs(checkpoints: Path) -> list[EpochMetrics]:
    progress = load_progress(checkpoints)
    return [EpochMetrics(**metrics) for metrics in progress["curves"]] if progress else []
