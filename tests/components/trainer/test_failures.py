"""Ray's exceptions, as they come to the driver."""

import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from diptych.components.trainer.failures import given_up, in_a_line, raised_by_worker
from diptych.schemas.config.train import Train
from diptych.schemas.errors import ConfigError, DataError, TrainingError

# As Ray 2.60 writes them, of two that were killed.
DIED = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: RayTrainWorker\n"
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker "
    "exit detail: Worker unexpectedly exits with a connection error code 2. End of file. Some "
    "common causes include: (1) the process was killed by the OOM killer"
)
NO_MEMORY = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: "
    "192.0.2.2, ID: 0682) was 22.51GB used / 23.54GB limit (0.956)\nOOM kill reason: more\n"
    "Refer to the documentation on how to address the out of memory issue: https://docs.ray.io"
)


def _lost(failure):
    return WorkerHealthCheckFailedError("A worker health check failed.", failure)


def _group(**failures):
    by_rank = {int(rank[1:]): failure for rank, failure in failures.items()}
    return WorkerGroupError("some text", by_rank)


def test_a_worker_that_died_is_named_before_those_that_miss_it():
    error = _group(_0=ConnectionError("Connection reset by peer"), _1=_lost(Exception(DIED)))
    assert in_a_line(error).startswith("worker 1: The actor is dead because its worker process")
    assert in_a_line(error).endswith("connection error code 2. End of file.")


def test_memory_that_ran_out_is_told_with_its_amounts():
    told = in_a_line(_group(_0=_lost(OutOfMemoryError(NO_MEMORY))))
    assert told.startswith("worker 0: 1 worker(s) were killed due to the node running low on mem")
    assert told.endswith("22.51GB used / 23.54GB limit (0.956)")


@pytest.mark.parametrize("error", [ActorDiedError(), Exception(""), RuntimeError("one\n\ntwo")])
def test_whatever_ray_raises_there_is_a_line(error):
    assert in_a_line(error)
    assert "\n" not in in_a_line(error)


@pytest.mark.parametrize("final", [ConfigError("c"), DataError("d"), TrainingError("t")])
def test_what_a_worker_raised_on_purpose_is_found_among_the_rest(final):
    assert raised_by_worker(_group(_0=_lost(Exception(DIED)), _1=final)) is final


def test_a_worker_that_was_lost_has_raised_nothing():
    assert raised_by_worker(_group(_0=_lost(Exception(DIED)), _1=ConnectionError("reset"))) is None
    assert raised_by_worker(ActorDiedError()) is None


def test_giving_up_says_how_often_where_it_goes_on_and_what_to_try():
    message = given_up(3, "worker 1: gone.", "epoch 2, step 7", Train(max_failures=2))
    assert "lost 3 times, with train.max_failures=2; at last: worker 1: gone. " in message
    assert "goes on from epoch 2, step 7." in message
    assert "lower train.batches_per_step (2)" in message
    assert "lost once," in given_up(1, "gone.", "the start", Train(max_failures=0))
