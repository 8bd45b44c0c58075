"""The training function that every Ray worker runs."""

from pathlib import Path
from typing import Any

from diptych.components.trainer.private_server import close_to_other_machines
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import DiptychError, TrainingError


def train_loop_per_worker(config: dict[str, Any]) -> None:
    """Train as one of the workers. Rank 0 saves checkpoints; the last one is the result.

    Args:
      config: ``pairs`` and ``checkpoints``, folders shared by all workers; ``model`` and
        ``settings``, as JSON; ``cpus``, the number of intra-op threads.

    Raises:
      DiptychError: A failure that a retry would raise again.
      tf.errors.OpError: Another worker was lost during an all-reduce.
    """
    import tensorflow as tf
    from ray import train as ray_train

    from diptych.components.trainer.learner import DistributedContext
    from diptych.components.trainer.loop import train

    tf.config.threading.set_intra_op_parallelism_threads(config["cpus"])
    ray_context = ray_train.get_context()
    rank, world_size = ray_context.get_world_rank(), ray_context.get_world_size()
    try:
        # TensorFlow must not run any operation before the communicator exists.
        all_reduce_sum = _make_all_reduce_sum() if world_size > 1 else list
        train(
            Path(config["pairs"]),
            ModelConfig.model_validate_json(config["model"]),
            TrainConfig.model_validate_json(config["settings"]),
            DistributedContext(rank, world_size, all_reduce_sum),
            lambda metrics: None,  # the driver reads them from the checkpoint
            Path(config["checkpoints"]),
        )
    except (DiptychError, tf.errors.OpError):
        raise
    except FileNotFoundError as error:
        raise TrainingError(
            f"Worker {rank} does not find {error.filename}. On a cluster, the pipeline root must "
            "be a folder that all machines share."
        ) from error
    except Exception as error:
        raise TrainingError(
            f"Training failed on worker {rank}: {type(error).__name__}: {error}"
        ) from error


def _make_all_reduce_sum() -> Any:
    """Create a sum all-reduce over the workers.

    It uses the communicator of TensorFlow's multi-worker strategy. The scope of the strategy is
    never entered, because Keras 3 cannot train under it.
    """
    import ray
    import tensorflow as tf

    implementations = tf.distribute.experimental.CommunicationImplementation
    gpus = tf.config.list_physical_devices("GPU")
    strategy = tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=tf.distribute.experimental.CommunicationOptions(
            timeout_seconds=300.0,
            implementation=implementations.NCCL if gpus else implementations.RING,
        )
    )
    close_to_other_machines(ray.util.get_node_ip_address())

    def all_reduce_sum(tensors: Any) -> list[Any]:
        return list(
            strategy.run(
                # Without the identity: "destinations can not be empty".
                lambda *values: tf.distribute.get_replica_context().all_reduce(
                    "SUM", [tf.identity(value) for value in values]
                ),
                args=tuple(tensors),
            )
        )

    return all_reduce_sum
