"""What runs on each Ray worker."""

from pathlib import Path
from typing import Any

from diptych.schemas.config.model import Model
from diptych.schemas.config.train import Train
from diptych.schemas.errors import DiptychError, TrainingError


def train_on_worker(config: dict[str, Any]) -> None:
    """Trains as one of the workers; rank 0 leaves the checkpoints, of which the last is the result.

    Args:
      config: ``pairs`` and ``storage``, folders that all workers share; ``model`` and
        ``settings`` as JSON; ``cpus``, as many threads as work at an operation.

    Raises:
      DiptychError: it would end the same if it were tried again.
      tf.errors.OpError: another worker is gone, in the middle of an exchange.
    """
    import tensorflow as tf
    from ray import train as ray_train

    from diptych.components.trainer.learner import Place
    from diptych.components.trainer.loop import train

    tf.config.threading.set_intra_op_parallelism_threads(config["cpus"])
    context = ray_train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    try:
        # Nothing of TensorFlow may run before the communicator is there.
        place = Place(rank, workers, _all_reduce_sum() if workers > 1 else list)
        train(
            Path(config["pairs"]),
            Model.model_validate_json(config["model"]),
            Train.model_validate_json(config["settings"]),
            place,
            lambda line: None,  # the driver reads it in the checkpoint
            Path(config["storage"]),
        )
    except (DiptychError, tf.errors.OpError):
        raise
    except FileNotFoundError as error:
        raise TrainingError(
            f"Worker {rank} does not find {error.filename}. On a cluster, the root must be a "
            "folder that all of its machines share."
        ) from error
    except Exception as error:
        raise TrainingError(
            f"Training failed on worker {rank}: {type(error).__name__}: {error}"
        ) from error


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
