"""A real TensorBoard on the folder of a run, queried like its frontend does."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from synthetic_runs import HOSTILE, make_run

from diptych.components.trainer.learning_curves import TensorBoardWriter
from diptych.pipeline.report.projector import write_projector
from diptych.schemas.learning_curves import EpochMetrics

NAME = urllib.parse.quote("test embeddings")


@pytest.fixture(scope="module")
def tensorboard(tmp_path_factory):
    """Address of a TensorBoard that shows a synthetic run."""
    folder = tmp_path_factory.mktemp("board")
    run = make_run(folder / "made", classes=(*HOSTILE, "five"), each=20)
    log = TensorBoardWriter(folder / "made" / "training_log")
    for number in (1, 2, 3):
        metrics = EpochMetrics(
            epoch=number,
            loss=1 / number,
            accuracy=0.95,
            calibration_loss=1.1 / number,
            calibration_accuracy=0.9,
            examples_per_s=1000.0,
            input_share=0.1,
            seconds=2.0,
        )
        log.write(metrics)
    write_projector(run, folder / "runs" / "a" / "tensorboard")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).parent / "tensorboard"
    with (folder / "log.txt").open("wb") as output:
        process = subprocess.Popen(
            [program, "--logdir", folder / "runs", "--host=127.0.0.1", f"--port={port}"],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                if "a/tensorboard" in json.loads(get(f"{address}/data/runs")):
                    break
            assert process.poll() is None, (folder / "log.txt").read_text()
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def get(address):
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read()


def test_scalars_and_projector_belong_to_one_run(tensorboard):
    scalars = json.loads(get(f"{tensorboard}/data/plugin/scalars/tags"))
    assert {"loss", "calibration_loss"} <= scalars["a/tensorboard"].keys()
    assert json.loads(get(f"{tensorboard}/data/plugin/projector/runs")) == ["a/tensorboard"]


def test_projector_serves_embeddings_labels_and_thumbnails(tensorboard):
    def fetch(resource):
        run = urllib.parse.quote("a/tensorboard")
        return get(f"{tensorboard}/data/plugin/projector/{resource}?run={run}&name={NAME}")

    (embedding,) = json.loads(fetch("info"))["embeddings"]
    assert embedding["tensorShape"] == [100, 8]
    assert embedding["sprite"]["singleImageDim"] == [64, 64]
    values = np.frombuffer(fetch("tensor"), np.float32).reshape(100, 8)
    assert np.linalg.norm(values, axis=1) == pytest.approx(np.ones(100), abs=1e-4)
    lines = fetch("metadata").decode().splitlines()
    assert lines[:2] == ["label\tin training", "<script>alert(1)</script>\tyes"]
    assert len(lines) == 101
    assert fetch("sprite_image")[:8] == b"\x89PNG\r\n\x1a\n"
