"""Workers that are killed, that fail for good, and that find no place."""

import logging
import os
import re
import signal
import threading

import numpy as np
import pytest
from processes import descendants, named, wait_until

from diptych.components.trainer.launch import train_anywhere
from diptych.schemas.config.model import Model
from diptych.schemas.config.train import Train
from diptych.schemas.errors import TrainingError

MODEL = Model(embedding_size=4)
SETTINGS = Train(
    num_workers=2,
    cpus_per_worker=1,
    epochs=3,
    patience=3,
    batches_per_step=4,
    checkpoint_steps=20,
    clip_norm=1.0,
    max_failures=2,
    learning_rate=1e-4,  # at ten times as much, a millionth in the weights grows to a hundredth
)


def _workers():
    return sorted(named(descendants(os.getpid()), "ray::RayTrainWorker"))


@pytest.fixture
def progress_lines(caplog):
    caplog.set_level(logging.INFO, "diptych.progress")
    return lambda: [record.getMessage() for record in caplog.records]


def test_killed_workers_are_replaced_and_the_end_is_that_of_an_undisturbed_run(
    local_ray, pairs, tmp_path, in_the_middle, progress_lines
):
    killed = []

    def kill():
        for epoch, which in ((2, 0), (3, 1)):
            progress = in_the_middle(tmp_path / "killed", epoch)
            pids = wait_until(lambda: len(_workers()) == 2 and _workers(), 10)
            killed.append((pids, progress))
            os.kill(pids[which], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    weights, curves = train_anywhere(pairs, MODEL, SETTINGS, tmp_path / "killed")
    killer.join()

    (first, at_first), (second, at_second) = killed
    assert not set(first) & set(second)
    for number, progress in ((1, at_first), (2, at_second)):
        (line,) = [line for line in progress_lines() if f"was lost ({number} of at most 2)" in line]
        epoch, step = map(int, re.search(r"going on from epoch (\d), step (\d+): ", line).groups())
        assert epoch == progress["epoch"] + 1
        assert step > len(progress["losses"]) >= 20
    # With its seconds: an epoch before a checkpoint has not been trained again.
    assert vars(curves[0]) == at_first["curves"][0]
    assert [vars(line) for line in curves[:2]] == at_second["curves"]

    alone = SETTINGS.model_copy(update={"num_workers": 0})
    straight_weights, straight = train_anywhere(pairs, MODEL, alone, tmp_path / "alone")
    for mine, theirs in zip(weights, straight_weights, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
    for name in ("loss", "calibration_loss", "calibration_accuracy"):
        ends = [getattr(line, name) for line in curves]
        assert ends == pytest.approx([getattr(line, name) for line in straight], rel=1e-3)


def test_workers_that_die_each_time_end_the_training_with_what_to_try(local_ray, pairs, tmp_path):
    over = threading.Event()

    def kill():
        while not over.wait(0.05):
            for pid in _workers():
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(TrainingError, match=r"lost 2 times.*from the start.*batches_per_step"):
            train_anywhere(pairs, MODEL, SETTINGS.model_copy(update={"max_failures": 1}), tmp_path)
    finally:
        over.set()
        killer.join()


@pytest.mark.parametrize(
    ("model", "changes", "says"),
    [
        (MODEL, {"learning_rate": 1e30}, r"not finite at epoch 1, step \d+ of 400"),
        (Model(encoder="json:loads"), {}, r"failed on worker \d: TypeError: "),
    ],
)
def test_what_would_fail_again_is_not_tried_again(
    local_ray, pairs, tmp_path, progress_lines, model, changes, says
):
    with pytest.raises(TrainingError, match=says):
        train_anywhere(pairs, model, SETTINGS.model_copy(update=changes), tmp_path)
    assert not [line for line in progress_lines() if "lost" in line]


def test_what_others_hold_is_waited_for_and_then_said(local_ray, pairs, tmp_path, progress_lines):
    import ray

    impatient = SETTINGS.model_copy(update={"resources_timeout_s": 1})
    held = ray.util.placement_group([{"CPU": 1}])
    try:
        assert held.wait(30)
        says = r"needs 2 workers with 1 CPU each.*has 1 node \(2 CPUs\), with 1 CPU free"
        with pytest.raises(TrainingError, match=says):
            train_anywhere(pairs, MODEL, impatient, tmp_path)
    finally:
        ray.util.remove_placement_group(held)
    assert "waiting at most 1 s for 2 workers with 1 CPU each" in progress_lines()

    greedy = impatient.model_copy(update={"cpus_per_worker": 2})
    with pytest.raises(TrainingError, match=r"2 workers with 2 CPUs each.*\(2 CPUs\), with 2 CPUs"):
        train_anywhere(pairs, MODEL, greedy, tmp_path)
