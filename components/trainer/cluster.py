"""Runs the loop where the configuration says: in this process, or on Ray workers."""

import dataclasses
import json
import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from diptych.components.trainer.checkpoint import read_checkpoint
from diptych.components.trainer.log import Epoch, show
from diptych.schemas.errors import DiptychError, TrainingError
from diptych.schemas.model import Model
from diptych.schemas.training import Train

_NEWS = "news.jsonl"
_START_ATTEMPTS = 3  # raylet gives up when its agent needs more than 15 s to start
_CONNECT_TIMEOUT_S = 10
_progress = logging.getLogger("diptych.progress")


def train_anywhere(
    pairs: Path, model: Model, settings: Train, storage: Path
) -> tuple[list[np.ndarray], list[Epoch]]:
    """Trains in process (``num_workers=0``) or on Ray.

    Args:
      pairs: folder of the pair set; on a cluster, one that every worker can read.
      model: encoder and loss.
      settings: workers and schedule.
      storage: folder of this training alone, for its checkpoints and what the workers hand back;
        on a cluster, one that all share. If there is a checkpoint in it, training goes on from
        there. It is removed when the training is done.

    Returns:
      Weights of the network, and the learning curves.

    Raises:
      TrainingError: Ray does not start, has not what was asked for, or a worker failed.
    """
    if settings.num_workers == 0:
        from diptych.components.trainer.learner import Place
        from diptych.components.trainer.loop import train

        weights, curves = train(
            pairs, model, settings, Place(), lambda line: show(line, settings), storage
        )
    else:
        with _ray(settings) as cpus_per_worker:
            weights, curves = _train_on_ray(pairs, model, settings, storage, cpus_per_worker)
    shutil.rmtree(storage)
    return weights, curves


@contextmanager
def _ray(settings: Train) -> Iterator[int]:
    """Connects to a cluster or starts a local Ray; yields the CPUs for each worker."""
    # The controller asks its workers for news this often; the default of 2 s would hold up
    # every epoch that is shorter.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    import ray

    own = not ray.is_initialized()
    if own:
        _start_ray(settings)
    try:
        there = int(ray.cluster_resources().get("CPU", 0))
        each = settings.cpus_per_worker or max(there // settings.num_workers, 1)
        if each * settings.num_workers > there:
            raise TrainingError(
                f"Training needs {settings.num_workers} workers with {each} CPUs each, the Ray "
                f"cluster has {there} CPUs. Lower train.num_workers or train.cpus_per_worker."
            )
        yield each
    finally:
        if own:
            ray.shutdown()


def _start_ray(settings: Train) -> None:
    import ray

    address = settings.ray_address or os.environ.get("RAY_ADDRESS")
    where: dict[str, Any] = {"address": address}
    if address:
        _check_reachable(address)
    else:
        # A worker needs a whole CPU by Ray's count, whatever the machine has.
        cpus = max(len(os.sched_getaffinity(0)), settings.num_workers)
        where = {"address": "local", "num_cpus": cpus, "include_dashboard": False}
    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            ray.init(**where)
            return
        except Exception as error:
            ray.shutdown()
            if attempt == _START_ATTEMPTS or address:
                what = f"reach the Ray cluster at {address}" if address else "start Ray"
                raise TrainingError(
                    f"Cannot {what}: {' '.join(str(error).split()) or repr(error)} "
                    "With train.num_workers=0 training runs without Ray."
                ) from error
            _progress.info("Ray did not start, attempt %d of %d", attempt + 1, _START_ATTEMPTS)
            time.sleep(2 * attempt)


def _check_reachable(address: str) -> None:
    """Ray itself tries for many minutes before it gives up on an address."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:  # auto: Ray looks for a cluster on this machine
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"Cannot reach the Ray cluster at {address}: {error}. Start it, mend train.ray_address "
            "or RAY_ADDRESS, or set train.num_workers=0 to train without Ray."
        ) from error


def _train_on_ray(
    pairs: Path, model: Model, settings: Train, storage: Path, cpus_per_worker: int
) -> tuple[list[np.ndarray], list[Epoch]]:
    import ray
    from ray import train as ray_train
    from ray.train.tensorflow import TensorflowTrainer

    storage.mkdir(parents=True, exist_ok=True)
    # One GPU a worker where there are GPUs for all of them; NCCL carries the gradients then.
    use_gpu = ray.cluster_resources().get("GPU", 0) >= settings.num_workers
    trainer = TensorflowTrainer(
        _worker,
        train_loop_config={
            "pairs": str(pairs),
            "model": model.model_dump_json(),
            "settings": settings.model_dump_json(),
            "storage": str(storage),
            "cpus": cpus_per_worker,
        },
        scaling_config=ray_train.ScalingConfig(
            num_workers=settings.num_workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": cpus_per_worker} | ({"GPU": 1} if use_gpu else {}),
        ),
        run_config=ray_train.RunConfig(
            storage_path=str(storage / "ray"),
            failure_config=ray_train.FailureConfig(max_failures=settings.max_failures),
        ),
    )
    try:
        with _own_interrupt(), _following(storage / _NEWS, settings):
            trainer.fit()
    except Exception as error:
        raise _cause(error) from error
    found = read_checkpoint(storage)
    if found is None:
        raise TrainingError(
            f"The workers left no checkpoint in {storage}. On a cluster, it must be a folder that "
            "all of its machines share with this one."
        )
    progress, arrays = found
    return arrays["best"], [Epoch(**line) for line in progress["curves"]]


@contextmanager
def _own_interrupt() -> Iterator[None]:
    """Ctrl-C stays an interrupt: Ray's handler ends the program without a word, and stays on."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


@contextmanager
def _following(news: Path, settings: Train) -> Iterator[None]:
    """Shows the lines of a file that rank 0 lengthens, in a thread.

    Ray runs callbacks in a process of its own, whose log nobody sees.
    """
    news.touch()
    done = threading.Event()

    def follow() -> None:
        with news.open(encoding="utf-8") as file:
            file.seek(0, os.SEEK_END)  # what came before an interruption has been shown
            while True:
                last_look = done.wait(0.2)
                for line in file:
                    show(Epoch(**json.loads(line)), settings)
                if last_look:
                    return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _cause(error: BaseException) -> DiptychError:
    """What a person needs to know of a failure that Ray has wrapped."""
    for failure in [*getattr(error, "worker_failures", {}).values(), error]:
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, DiptychError):
                return cause
            cause = getattr(cause, "cause", None) or cause.__cause__
    last = [line for line in str(error).strip().splitlines() if line.strip()]
    return TrainingError(f"A training worker failed: {last[-1].strip() if last else repr(error)}")


def _worker(config: dict[str, Any]) -> None:
    """Runs on each Ray worker; rank 0 tells of each epoch, and leaves the last checkpoint."""
    import tensorflow as tf
    from ray import train as ray_train

    from diptych.components.trainer.learner import Place
    from diptych.components.trainer.loop import train

    tf.config.threading.set_intra_op_parallelism_threads(config["cpus"])
    context = ray_train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    # Nothing of TensorFlow may run before the communicator is there.
    place = Place(rank, workers, _all_reduce_sum() if workers > 1 else list)
    storage = Path(config["storage"])

    def on_epoch(line: Epoch) -> None:
        if rank == 0:
            with (storage / _NEWS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(dataclasses.asdict(line)) + "\n")

    train(
        Path(config["pairs"]),
        Model.model_validate_json(config["model"]),
        Train.model_validate_json(config["settings"]),
        place,
        on_epoch,
        storage,
    )


def _all_reduce_sum() -> Any:
    """An all-reduce over the workers, and nothing else, of TensorFlow's multi-worker strategy.

    Its scope is never entered: Keras 3 cannot train under it.
    """
    import tensorflow as tf

    implementations = tf.distribute.experimental.CommunicationImplementation
    gpus = tf.config.list_physical_devices("GPU")
    strategy = tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=tf.distribute.experimental.CommunicationOptions(
            timeout_seconds=300.0,
            implementation=implementations.NCCL if gpus else implementations.RING,
        )
    )

    def all_reduce_sum(tensors: Any) -> list[Any]:
        return list(
            strategy.run(
                # Without the identity: "destinations can not be empty".
                lambda *parts: tf.distribute.get_replica_context().all_reduce(
                    "SUM", [tf.identity(part) for part in parts]
                ),
                args=tuple(tensors),
            )
        )

    return all_reduce_sum
