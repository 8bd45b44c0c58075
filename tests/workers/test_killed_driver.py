"""The driver process is killed or interrupted, and the next one resumes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import train_driver
from exposure import (
    environment_of,
    is_reachable_from_outside,
    listening_addresses,
    reachable_by_others,
)
from pipeline_runs import DIPTYCH, QUICK, blobs, pushed_version, write_config
from processes import pids_of_session, pids_with_command, start_session, wait_until

from diptych.components.trainer.launch import run_training
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.learning_curves import LearningCurves

MODEL = ModelConfig(embedding_size=4)
SETTINGS = TrainConfig(
    num_workers=2,
    cpus_per_worker=1,
    epochs=4,
    patience=4,
    batches_per_step=4,
    checkpoint_steps=20,
    learning_rate=1e-4,
)


def _driver_command(pairs, checkpoints):
    arguments = [str(pairs), str(checkpoints), MODEL.model_dump_json(), SETTINGS.model_dump_json()]
    return [sys.executable, train_driver.__file__, *arguments]


def _workers_of(driver):
    return pids_with_command(pids_of_session(driver.pid), "ray::RayTrainWorker")


def test_resumed_drivers_end_like_an_uninterrupted_one(
    pairs, tmp_path, wait_for_mid_epoch_checkpoint
):
    checkpoints, log = tmp_path / "checkpoints", tmp_path / "log.txt"
    with start_session(_driver_command(pairs, checkpoints), log) as driver:
        killed_progress = wait_for_mid_epoch_checkpoint(checkpoints, epoch=2, of=driver)
        pids = pids_of_session(driver.pid)
        listening = listening_addresses(pids)
        reachable = {name for ip, port, name in listening if is_reachable_from_outside(ip, port)}
        token_files = {environment_of(pid).get("RAY_AUTH_TOKEN_PATH") for pid in pids} - {None}
        (folder,) = {Path(file).parent for file in token_files}
        exposed = reachable_by_others(folder)
        token = (folder / "token").read_text()
        told = [environment_of(pid) for pid in pids if token in str(environment_of(pid))]
        driver.kill()
        driver.wait()
        # Ray ends the workers; they must not save a checkpoint during the next run.
        wait_until(lambda: not _workers_of(driver), timeout_s=60)

    assert {"raylet", "gcs_server"} <= {name for _, _, name in listening}
    assert reachable == set()
    assert exposed == {}
    assert len(token) == 64 and told == []

    for epoch, signal_number in ((3, signal.SIGTERM), (4, signal.SIGINT)):
        with start_session(_driver_command(pairs, checkpoints), log) as driver:
            interrupted_progress = wait_for_mid_epoch_checkpoint(
                checkpoints, epoch=epoch, of=driver
            )
            os.kill(driver.pid, signal_number)
            assert driver.wait(120) == 1
            wait_until(lambda driver=driver: not _workers_of(driver), timeout_s=60)
            text = log.read_text()
            assert text.splitlines()[-1] == "Interrupted"
            assert f"resuming from epoch {epoch - 1}, step " in text
            assert "a worker was lost" not in text

    with start_session(_driver_command(pairs, checkpoints), log) as driver:
        assert driver.wait(400) == 0, log.read_text()
        assert "resuming from epoch 4, step " in log.read_text()
    assert not checkpoints.exists()

    curves = json.loads((tmp_path / "checkpoints.json").read_text())
    # Equal durations: epochs before a checkpoint were not trained again.
    assert curves[:1] == killed_progress["curves"]
    assert curves[:3] == interrupted_progress["curves"]
    in_process = SETTINGS.model_copy(update={"num_workers": 0})
    expected_weights, expected_curves = run_training(
        pairs, MODEL, in_process, tmp_path / "in-process"
    )
    for name in ("loss", "calibration_loss", "calibration_accuracy"):
        values = [metrics[name] for metrics in curves]
        expected = [getattr(metrics, name) for metrics in expected_curves]
        assert values == pytest.approx(expected, rel=1e-3)
    with np.load(tmp_path / "checkpoints.npz") as weights:
        for value, expected in zip(weights.values(), expected_weights, strict=True):
            np.testing.assert_allclose(value, expected, atol=1e-4)


def test_an_interrupted_pipeline_run_is_resumed_by_the_next(
    tmp_path, wait_for_mid_epoch_checkpoint
):
    x, labels = blobs(600, seed=3)
    table = pd.DataFrame(x, columns=list("abcde"))
    table.insert(0, "label", labels)
    table.to_csv(tmp_path / "data.csv", index=False)
    train = {**QUICK["train"], "epochs": 40, "patience": 40, "checkpoint_steps": 3}
    data = {"kind": "table", "path": "data.csv", "label": "label"}
    config = write_config(tmp_path, data, train=train)
    root = tmp_path / "root"
    command, log = [*DIPTYCH, "run", str(config), "--root", str(root)], tmp_path / "log.txt"

    def find_checkpoints():
        return next((root / "artifacts" / "Trainer" / "checkpoints").glob("*"), None)

    with start_session(command, log) as run:
        wait_for_mid_epoch_checkpoint(
            wait_until(find_checkpoints, timeout_s=300, of=run), epoch=4, of=run
        )
        run.kill()
    checkpoints = find_checkpoints()

    with start_session(command, log) as run:
        wait_for_mid_epoch_checkpoint(checkpoints, epoch=20, of=run)
        os.kill(run.pid, signal.SIGINT)
        assert run.wait(120) == 1
        assert "Error: Interrupted." in log.read_text()

    result = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    pushed_version(result, root)
    assert "resuming from epoch " in result.stdout
    (curves,) = root.glob("artifacts/Trainer/training_log/*/curves.json")
    assert [metrics.epoch for metrics in LearningCurves.read(curves.parent).epochs] == [
        *range(1, 41)
    ]
    assert not checkpoints.exists()
