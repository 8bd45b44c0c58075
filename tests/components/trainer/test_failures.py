"""Ray's exceptions, as the driver receives them."""

import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from diptych.components.trainer.failures import (
    failure_limit_message,
    find_worker_error,
    summarize_failure,
)
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import ConfigError, DataError, TrainingError

# Messages of Ray 2.60 for two killed workers.
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


def _lost_worker(failure):
    return WorkerHealthCheckFailedError("A worker health check failed.", failure)


def _worker_group_error(**failures):
    by_rank = {int(rank[1:]): failure for rank, failure in failures.items()}
    return WorkerGroupError("some text", by_rank)


def test_the_dead_worker_is_reported_before_workers_that_cannot_reach_it():
    error = _worker_group_error(
        _0=ConnectionError("Connection reset by peer"), _1=_lost_worker(Exception(DIED))
    )
    assert summarize_failure(error).startswith(
        "worker 1: The actor is dead because its worker process"
    )
    assert summarize_failure(error).endswith("connection error code 2. End of file.")


def test_an_out_of_memory_kill_is_reported_with_the_memory_usage():
    summary = summarize_failure(_worker_group_error(_0=_lost_worker(OutOfMemoryError(NO_MEMORY))))
    assert summary.startswith(
        "worker 0: 1 worker(s) were killed due to the node running low on mem"
    )
    assert summary.endswith("22.51GB used / 23.54GB limit (0.956)")


@pytest.mark.parametrize("error", [ActorDiedError(), Exception(""), RuntimeError("one\n\ntwo")])
def test_every_ray_error_has_a_one_line_summary(error):
    assert summarize_failure(error)
    assert "\n" not in summarize_failure(error)


@pytest.mark.parametrize("raised", [ConfigError("c"), DataError("d"), TrainingError("t")])
def test_the_diptych_error_of_a_worker_is_found_among_other_failures(raised):
    assert (
        find_worker_error(_worker_group_error(_0=_lost_worker(Exception(DIED)), _1=raised))
        is raised
    )


def test_a_lost_worker_has_no_diptych_error():
    assert (
        find_worker_error(
            _worker_group_error(_0=_lost_worker(Exception(DIED)), _1=ConnectionError("reset"))
        )
        is None
    )
    assert find_worker_error(ActorDiedError()) is None


def test_the_limit_message_contains_count_resume_position_and_remedies():
    message = failure_limit_message(
        3, "worker 1: gone.", "epoch 2, step 7", TrainConfig(max_failures=2)
    )
    assert "lost 3 times, with train.max_failures=2. Last failure: worker 1: gone. " in message
    assert "resumes from epoch 2, step 7." in message
    assert "lower train.batches_per_step (2)" in message
    assert "lost once," in failure_limit_message(
        1, "gone.", "the start", TrainConfig(max_failures=0)
    )
