"""The process that the training is started from is killed, or interrupted."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import train_driver
from processes import in_session, named, started, wait_until
from whole_runs import DIPTYCH, QUICK, blobs, pushed, write_config

from diptych.components.trainer.launch import train_anywhere
from diptych.schemas.config.model import Model
from diptych.schemas.config.train import Train

MODEL = Model(embedding_size=4)
SETTINGS = Train(
    num_workers=2,
    cpus_per_worker=1,
    epochs=4,
    patience=4,
    batches_per_step=4,
    checkpoint_steps=20,
    learning_rate=1e-4,
)


def _driver(pairs, storage):
    what = [str(pairs), str(storage), MODEL.model_dump_json(), SETTINGS.model_dump_json()]
    return [sys.executable, train_driver.__file__, *what]


def _workers_of(driver):
    return named(in_session(driver.pid), "ray::RayTrainWorker")


def test_the_next_one_goes_on_to_the_end_of_an_undisturbed_run(pairs, tmp_path, in_the_middle):
    storage, log = tmp_path / "storage", tmp_path / "log.txt"
    with started(_driver(pairs, storage), log) as driver:
        killed_at = in_the_middle(storage, epoch=2, of=driver)
        driver.kill()
        driver.wait()
        # Ray ends them by itself; they must not write a checkpoint into the next run.
        wait_until(lambda: not _workers_of(driver), timeout_s=60)

    for epoch, end in ((3, signal.SIGTERM), (4, signal.SIGINT)):
        with started(_driver(pairs, storage), log) as driver:
            interrupted_at = in_the_middle(storage, epoch=epoch, of=driver)
            os.kill(driver.pid, end)
            assert driver.wait(120) == 1
            wait_until(lambda driver=driver: not _workers_of(driver), timeout_s=60)
            text = log.read_text()
            assert text.splitlines()[-1] == "Interrupted"
            assert f"going on from epoch {epoch - 1}, step " in text
            assert "a worker was lost" not in text

    with started(_driver(pairs, storage), log) as driver:
        assert driver.wait(400) == 0, log.read_text()
        assert "going on from epoch 4, step " in log.read_text()
    assert not storage.exists()

    curves = json.loads((tmp_path / "storage.json").read_text())
    # With their seconds: what was before a checkpoint has not been trained again.
    assert curves[:1] == killed_at["curves"]
    assert curves[:3] == interrupted_at["curves"]
    alone = SETTINGS.model_copy(update={"num_workers": 0})
    straight_weights, straight = train_anywhere(pairs, MODEL, alone, tmp_path / "alone")
    for name in ("loss", "calibration_loss", "calibration_accuracy"):
        ends = [line[name] for line in curves]
        assert ends == pytest.approx([getattr(line, name) for line in straight], rel=1e-3)
    with np.load(tmp_path / "storage.npz") as weights:
        for mine, theirs in zip(weights.values(), straight_weights, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_a_pipeline_run_that_was_cut_off_goes_on_in_the_next(tmp_path, in_the_middle):
    x, labels = blobs(600, seed=3)
    table = pd.DataFrame(x, columns=list("abcde"))
    table.insert(0, "label", labels)
    table.to_csv(tmp_path / "data.csv", index=False)
    train = {**QUICK["train"], "epochs": 40, "patience": 40, "checkpoint_steps": 3}
    data = {"kind": "table", "path": "data.csv", "label": "label"}
    config = write_config(tmp_path, data, train=train)
    root = tmp_path / "root"
    command, log = [*DIPTYCH, "run", str(config), "--root", str(root)], tmp_path / "log.txt"

    def storage():
        return next((root / "artifacts" / "Trainer" / "unfinished").glob("*"), None)

    with started(command, log) as run:
        in_the_middle(wait_until(storage, timeout_s=300, of=run), epoch=4, of=run)
        run.kill()
    kept = storage()

    with started(command, log) as run:
        in_the_middle(kept, epoch=20, of=run)
        os.kill(run.pid, signal.SIGINT)
        assert run.wait(120) == 1
        assert "Error: Interrupted." in log.read_text()

    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    pushed(done, root)
    assert "going on from epoch " in done.stdout
    (curves,) = root.glob("artifacts/Trainer/training_log/*/curves.json")
    assert [line["epoch"] for line in json.loads(curves.read_text())["epochs"]] == [*range(1, 41)]
    assert not kept.exists()
