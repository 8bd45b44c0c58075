"""Runs the loop where the configuration says: in this process, or on Ray workers."""

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

from diptych.components.trainer.checkpoints import read_checkpoint, read_progress
from diptych.components.trainer.failures import given_up, in_a_line, raised_by_worker
from diptych.components.trainer.learning_curves import Epoch, show
from diptych.components.trainer.ray_connection import ray_for, wait_for_room
from diptych.components.trainer.ray_resources import Need
from diptych.components.trainer.ray_worker import train_on_worker
from diptych.schemas.config.model import Model
from diptych.schemas.config.train import Train
from diptych.schemas.errors import TrainingError

_progress = logging.getLogger("diptych.progress")


def train_anywhere(
    pairs: Path,
    model: Model,
    settings: Train,
    storage: Path,
    on_epoch: Callable[[Epoch], None] = lambda line: None,
) -> tuple[list[np.ndarray], list[Epoch]]:
    """Trains in process (``num_workers=0``) or on Ray.

    Args:
      pairs: folder of the pair set; on a cluster, one that every worker can read.
      model: encoder and loss.
      settings: workers and schedule.
      storage: folder of this training alone, for its checkpoints; on a cluster, one that all
        share. If there is a checkpoint in it, training goes on from there. It is removed when the
        training is done.
      on_epoch: called with each epoch when it ends; first with those of the run that was cut off.

    Returns:
      Weights of the network, and the learning curves.

    Raises:
      TrainingError: Ray does not start, has not what was asked for, or workers were lost too
        often; the loss is not finite, or memory does not suffice.
    """
    storage.mkdir(parents=True, exist_ok=True)
    if read_progress(storage) is not None:
        _keep("going on from %s of a run that was cut off", _reached(storage))
    for line in _epochs(storage):
        on_epoch(Epoch(**line))

    def tell(line: Epoch) -> None:
        show(line, settings)
        on_epoch(line)

    if settings.num_workers == 0:
        from diptych.components.trainer.learner import Place
        from diptych.components.trainer.loop import train

        weights, curves = train(pairs, model, settings, Place(), tell, storage)
    else:
        with ray_for(settings, model) as need:
            weights, curves = _train_on_ray(pairs, model, settings, storage, need, tell)
    shutil.rmtree(storage)
    return weights, curves


def _train_on_ray(
    pairs: Path,
    model: Model,
    settings: Train,
    storage: Path,
    need: Need,
    on_epoch: Callable[[Epoch], None],
) -> tuple[list[np.ndarray], list[Epoch]]:
    """Starts the workers, and starts them again when one is lost.

    The attempts are counted here, not by Ray, to which a loss that is not finite is a failure like
    that of a machine.
    """
    from ray.exceptions import RayError
    from ray.train import TrainingFailedError

    config = {
        "pairs": str(pairs),
        "model": model.model_dump_json(),
        "settings": settings.model_dump_json(),
        "storage": str(storage),
        "cpus": need.cpus,
    }
    with _own_interrupt(), _telling_epochs(storage, on_epoch):
        for lost in itertools.count(1):
            wait_for_room(need, settings.resources_timeout_s)
            try:
                _fit(config, need, storage)
                break
            except (TrainingFailedError, RayError) as error:
                final = raised_by_worker(error)
                if final is not None:
                    raise final from error
                reason, reached = in_a_line(error), _reached(storage)
                if lost > settings.max_failures:
                    raise TrainingError(given_up(lost, reason, reached, settings)) from error
                _keep(
                    "a worker was lost (%d of at most %d), going on from %s: %s",
                    lost,
                    settings.max_failures,
                    reached,
                    reason,
                )
    found = read_checkpoint(storage)
    if found is None:
        raise TrainingError(
            f"The workers left no checkpoint in {storage}. On a cluster, it must be a folder that "
            "all of its machines share with this one."
        )
    progress, arrays = found
    return arrays["best"], [Epoch(**line) for line in progress["curves"]]


def _fit(config: dict[str, Any], need: Need, storage: Path) -> None:
    """One attempt; raises what Ray raises when a worker fails."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    class Trainer(TensorflowTrainer):
        def _create_default_callbacks(self) -> list[Any]:
            """Without one that looks for a dashboard, for 12 s where there is none.

            It removes the placement group of a controller that died, as Ray itself does.
            """
            unwanted = "PlacementGroupCleanerCallback"
            callbacks = super()._create_default_callbacks()
            return [callback for callback in callbacks if type(callback).__name__ != unwanted]

    Trainer(
        train_on_worker,
        train_loop_config=config,
        scaling_config=ScalingConfig(
            num_workers=need.workers,
            use_gpu=need.gpus > 0,
            resources_per_worker=need.bundle,
        ),
        run_config=RunConfig(
            storage_path=str(storage / "ray"),
            # Of the controller: workers that did not start. Without a limit, it tries for ever.
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
        ),
    ).fit()


def _keep(message: str, *values: object) -> None:
    """News in a line that stays."""
    _progress.info(message, *values, extra={"keep": True})


def _reached(storage: Path) -> str:
    """Where training goes on, by the last checkpoint."""
    progress = read_progress(storage)
    if progress is None:
        return "the start"
    return f"epoch {progress['epoch'] + 1}, step {len(progress['losses']) + 1}"


@contextmanager
def _own_interrupt() -> Iterator[None]:
    """Ctrl-C stays an interrupt: Ray's handler ends the program without a word, and stays on.

    SIGTERM becomes one, too: after Ray's handler of it, the process has 3 s until it aborts.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


@contextmanager
def _telling_epochs(storage: Path, on_epoch: Callable[[Epoch], None]) -> Iterator[None]:
    """Tells of the epochs that come into the checkpoint, in a thread.

    Ray runs callbacks in a process of its own, whose log nobody sees.
    """
    done = threading.Event()
    told = _epochs(storage)

    def follow() -> None:
        last_look = False
        while not last_look:
            last_look = done.wait(0.2)
            lines = _epochs(storage)
            for line in lines[len(told) :]:
                on_epoch(Epoch(**line))
            told[:] = lines

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _epochs(storage: Path) -> list[dict[str, Any]]:
    progress = read_progress(storage)
    return progress["curves"] if progress else []
