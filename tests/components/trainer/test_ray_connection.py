"""What is said before a Ray is started or joined; ``tests/ray`` has the rest, with real ones."""

import pytest

from diptych.components.trainer.ray_connection import ray_for
from diptych.schemas.config.model import Model
from diptych.schemas.config.train import Train
from diptych.schemas.errors import TrainingError


def _cannot(settings, says):
    with pytest.raises(TrainingError, match=says), ray_for(settings, Model()):
        pass


def test_more_cpus_than_this_machine_has_is_said_at_once():
    greedy = Train(num_workers=2, batches_per_step=2, cpus_per_worker=4000)
    _cannot(greedy, r"2 workers with 4000 CPUs each, this machine has \d+\. Lower train\.num_work")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1", "127.0.0.1:x"])
def test_a_cluster_out_of_reach_is_named(address):
    nowhere = Train(num_workers=1, ray_address=address)
    _cannot(nowhere, r"Cannot reach the Ray cluster at .*127|::1.*: .*Start it, mend")


def test_the_address_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    _cannot(Train(num_workers=1), r"Cannot reach the Ray cluster at 127\.0\.0\.1:1: ")
