"""Workers that are killed, that raise errors, and that do not fit on the cluster."""

import logging
import os
import re
import signal
import threading

import numpy as np
import pytest
from processes import descendants, pids_with_command, repeat_in_background, wait_until

from diptych.components.trainer.launch import run_training
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import TrainingError

MODEL = ModelConfig(embedding_size=4)
SETTINGS = TrainConfig(
    num_workers=2,
    cpus_per_worker=1,
    epochs=3,
    patience=3,
    batches_per_step=4,
    checkpoint_steps=20,
    clip_norm=1.0,
    max_failures=2,
    learning_rate=1e-4,  # at 1e-3, a difference of 1e-6 in the weights grows to 1e-2
)


def _worker_pids():
    return sorted(pids_with_command(descendants(os.getpid()), "ray::RayTrainWorker"))


@pytest.fixture
def progress_messages(caplog):
    caplog.set_level(logging.INFO, "diptych.progress")
    return lambda: [record.getMessage() for record in caplog.records]


def test_training_with_killed_workers_ends_like_an_undisturbed_one(
    local_ray, pairs, tmp_path, wait_for_mid_epoch_checkpoint, progress_messages
):
    killed = []

    def kill_workers():
        for epoch, victim in ((2, 0), (3, 1)):
            progress = wait_for_mid_epoch_checkpoint(tmp_path / "killed", epoch)
            pids = wait_until(lambda: len(_worker_pids()) == 2 and _worker_pids(), 10)
            killed.append((pids, progress))
            os.kill(pids[victim], signal.SIGKILL)

    killer = threading.Thread(target=kill_workers)
    killer.start()
    weights, curves = run_training(pairs, MODEL, SETTINGS, tmp_path / "killed")
    killer.join()

    (first_pids, first_progress), (second_pids, second_progress) = killed
    assert not set(first_pids) & set(second_pids)
    for number, progress in ((1, first_progress), (2, second_progress)):
        lost = f"was lost ({number} of at most 2)"
        (message,) = [message for message in progress_messages() if lost in message]
        position = re.search(r"resuming from epoch (\d), step (\d+): ", message)
        epoch, step = map(int, position.groups())
        assert epoch == progress["epoch"] + 1
        assert step > len(progress["losses"]) >= 20
    # Equal durations: epochs before a checkpoint were not trained again.
    epochs = [metrics.model_dump() for metrics in curves]
    assert epochs[0] == first_progress["curves"][0]
    assert epochs[:2] == second_progress["curves"]

    in_process = SETTINGS.model_copy(update={"num_workers": 0})
    expected_weights, expected_curves = run_training(
        pairs, MODEL, in_process, tmp_path / "in-process"
    )
    for value, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-4)
    for name in ("loss", "calibration_loss", "calibration_accuracy"):
        values = [getattr(metrics, name) for metrics in curves]
        expected = [getattr(metrics, name) for metrics in expected_curves]
        assert values == pytest.approx(expected, rel=1e-3)


def test_training_gives_up_after_max_failures(local_ray, pairs, tmp_path):
    def kill_workers():
        for pid in _worker_pids():
            os.kill(pid, signal.SIGKILL)

    with (
        repeat_in_background(kill_workers, 0.05),
        pytest.raises(TrainingError, match=r"lost 2 times.*from the start.*batches_per_step"),
    ):
        run_training(pairs, MODEL, SETTINGS.model_copy(update={"max_failures": 1}), tmp_path)


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        (MODEL, {"learning_rate": 1e30}, r"not finite at epoch 1, step \d+ of 400"),
        (ModelConfig(encoder="json:loads"), {}, r"failed on worker \d: TypeError: "),
    ],
)
def test_an_error_that_would_recur_is_not_retried(
    local_ray, pairs, tmp_path, progress_messages, model, changes, message
):
    with pytest.raises(TrainingError, match=message):
        run_training(pairs, model, SETTINGS.model_copy(update=changes), tmp_path)
    assert not [line for line in progress_messages() if "lost" in line]


def test_missing_resources_are_awaited_and_then_reported(
    local_ray, pairs, tmp_path, progress_messages
):
    import ray

    settings = SETTINGS.model_copy(update={"resources_timeout_s": 1})
    held = ray.util.placement_group([{"CPU": 1}])
    try:
        assert held.wait(30)
        message = r"needs 2 workers with 1 CPU each.*has 1 node \(2 CPUs\), with 1 CPU free"
        with pytest.raises(TrainingError, match=message):
            run_training(pairs, MODEL, settings, tmp_path)
    finally:
        ray.util.remove_placement_group(held)
    assert "waiting at most 1 s for 2 workers with 1 CPU each" in progress_messages()

    settings = settings.model_copy(update={"cpus_per_worker": 2})
    with pytest.raises(TrainingError, match=r"2 workers with 2 CPUs each.*\(2 CPUs\), with 2 CPUs"):
        run_training(pairs, MODEL, settings, tmp_path)
