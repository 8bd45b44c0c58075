import json

import pytest
from processes import wait_until
from shard_writer import write_blobs

from diptych.components.trainer.checkpoints import load_progress
from diptych.components.trainer.ray_connection import ray_session
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig


@pytest.fixture(scope="module")
def local_ray():
    """A local Ray with two CPUs, which all training runs of the module use."""
    with ray_session(
        TrainConfig(num_workers=2, batches_per_step=2, cpus_per_worker=1), ModelConfig()
    ):
        yield


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """A pair set with 400 steps per epoch, enough to interrupt an epoch in the middle."""
    return write_blobs(tmp_path_factory.mktemp("pairs"), batches=1600)


@pytest.fixture
def wait_for_mid_epoch_checkpoint():
    """A function that waits for a checkpoint within an epoch, and returns its progress."""

    def wait(checkpoints, epoch, of=None):
        def mid_epoch_progress():
            progress = load_progress(checkpoints)
            return progress and progress["epoch"] == epoch - 1 and progress["losses"] and progress

        return json.loads(json.dumps(wait_until(mid_epoch_progress, timeout_s=300, of=of)))

    return wait
