import json

import pytest
from processes import wait_until
from shard_writer import write_blobs

from diptych.components.trainer.checkpoints import read_progress
from diptych.components.trainer.ray_connection import ray_for
from diptych.schemas.config.model import Model
from diptych.schemas.config.train import Train


@pytest.fixture(scope="module")
def local_ray():
    """A Ray with two CPUs, which all trainings meanwhile use as it is."""
    with ray_for(Train(num_workers=2, batches_per_step=2, cpus_per_worker=1), Model()):
        yield


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """Enough steps to be in the middle of an epoch for a while."""
    return write_blobs(tmp_path_factory.mktemp("pairs"), batches=1600)


@pytest.fixture
def in_the_middle():
    """Waits for a checkpoint in the middle of an epoch; gives its progress."""

    def wait(storage, epoch, of=None):
        def there():
            progress = read_progress(storage)
            return progress and progress["epoch"] == epoch - 1 and progress["losses"] and progress

        return json.loads(json.dumps(wait_until(there, timeout_s=300, of=of)))

    return wait
