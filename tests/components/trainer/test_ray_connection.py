"""Errors before Ray is started or joined; ``tests/workers`` tests real clusters."""

import pytest

from diptych.components.trainer.ray_connection import ray_session
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import TrainingError


def _assert_connection_fails(settings, message):
    with pytest.raises(TrainingError, match=message), ray_session(settings, ModelConfig()):
        pass


def test_a_request_for_more_cpus_than_this_machine_has_fails_at_once():
    greedy = TrainConfig(num_workers=2, batches_per_step=2, cpus_per_worker=4000)
    _assert_connection_fails(
        greedy, r"2 workers with 4000 CPUs each, this machine has \d+\. Lower train\.num_work"
    )


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1", "127.0.0.1:x"])
def test_an_unreachable_cluster_raises_an_error_with_its_address(address):
    unreachable = TrainConfig(num_workers=1, ray_address=address)
    _assert_connection_fails(
        unreachable, r"Cannot reach the Ray cluster at .*127|::1.*: .*Start it, correct"
    )


def test_the_address_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    _assert_connection_fails(
        TrainConfig(num_workers=1), r"Cannot reach the Ray cluster at 127\.0\.0\.1:1: "
    )
