"""A Ray cluster of two nodes with token authentication, on which Diptych is not installed."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
import train_driver
from processes import start_session, wait_until
from shard_writer import write_blobs

from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig

TOKEN = "a-token-of-this-test-and-of-no-other-cluster"
RAY = str(Path(sys.executable).with_name("ray"))
# Removes the finder of `pip install --editable`, so that Diptych cannot be imported.
WITHOUT_DIPTYCH = (
    "import sys\nsys.meta_path[:] = [f for f in sys.meta_path if '__editable__' not in repr(f)]"
)
# Writes the paths of this module and of Diptych.
ENCODER = """
import json, pathlib
import keras
import diptych, diptych.components.trainer.loop as loop

def build(shape, size):
    paths = [diptych.__file__, loop.__file__, __file__]
    pathlib.Path({paths_file!r}).write_text(json.dumps(paths))
    return keras.Sequential([keras.Input(shape), keras.layers.Dense(size)])
"""
SETTINGS = {"batches_per_step": 2, "epochs": 1, "warmup_epochs": 0, "resources_timeout_s": 2}


def _environment(**changes):
    """Environment of this process, without Ray's variables and PYTHONPATH."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    inherited.pop("PYTHONPATH", None)
    return {**inherited, **changes}


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def client_port():
    return _free_port()


@pytest.fixture(scope="module")
def cluster(client_port):
    """Address of a cluster with two nodes, of two CPUs and of one CPU."""
    # A short path, because the paths of the sockets in it are limited to 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    (folder / "sitecustomize.py").write_text(WITHOUT_DIPTYCH)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    environment = _environment(PYTHONPATH=str(folder), **token)
    options = {"env": environment, "cwd": folder}
    start = [RAY, "start", "--block", "--disable-usage-stats"]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        port = _free_port()
        head = [*start, "--head", "--include-dashboard=false", "--num-cpus=2", f"--port={port}"]
        head += [f"--temp-dir={folder / 'tmp'}", f"--ray-client-server-port={client_port}"]
        process = stack.enter_context(start_session(head, folder / "head.log", **options))

        def read_address():
            parts = (folder / "head.log").read_text().split("--address='")
            return len(parts) > 1 and parts[1].partition("'")[0]

        address = wait_until(read_address, timeout_s=120, of=process)
        node = [*start, f"--address={address}", "--num-cpus=1"]
        process = stack.enter_context(start_session(node, folder / "node.log", **options))
        wait_until(
            lambda: "Ray runtime started" in (folder / "node.log").read_text(), 120, of=process
        )
        yield address


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_blobs(tmp_path_factory.mktemp("pairs"), batches=4, num_shards=2)


@pytest.fixture
def train(pairs, tmp_path):
    """A function that trains in a new process, which can import ``custom_encoder``."""
    # Not in the working directory, which Ray's workers on the same machine also search.
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "custom_encoder.py").write_text(
        ENCODER.format(paths_file=str(tmp_path / "paths.json"))
    )

    def run(model, changes, **environment):
        settings = TrainConfig(**{**SETTINGS, **changes}).model_dump_json()
        arguments = [str(pairs), str(tmp_path / "checkpoints"), model.model_dump_json(), settings]
        return subprocess.run(
            [sys.executable, train_driver.__file__, *arguments],
            cwd=tmp_path,
            env=_environment(PYTHONPATH=str(tmp_path / "modules"), **environment),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def test_workers_receive_the_package_and_a_custom_encoder_from_the_driver(cluster, train, tmp_path):
    model = ModelConfig(encoder="custom_encoder:build", embedding_size=4)
    workers = {"num_workers": 2, "cpus_per_worker": 1}
    done = train(model, workers, RAY_ADDRESS=cluster, RAY_AUTH_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "checkpoints.json").read_text())) == 1
    for path in json.loads((tmp_path / "paths.json").read_text()):
        assert "/runtime_resources/py_modules_files/" in path


def test_a_driver_outside_of_the_cluster_trains_through_ray_client(
    cluster, client_port, train, tmp_path
):
    workers = {"num_workers": 2, "cpus_per_worker": 1}
    address = f"ray://127.0.0.1:{client_port}"
    done = train(ModelConfig(embedding_size=4), workers, RAY_ADDRESS=address, RAY_AUTH_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "checkpoints.json").read_text())) == 1


def test_a_worker_that_fits_on_no_node_raises_an_error_even_if_the_total_suffices(cluster, train):
    settings = {"num_workers": 1, "cpus_per_worker": 3, "ray_address": cluster}
    done = train(ModelConfig(), settings, RAY_AUTH_TOKEN=TOKEN)
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith(
        "TrainingError: Training needs 1 worker with 3 CPUs each. The Ray clu"
    )
    assert "2 nodes (1 CPU, 2 CPUs), with 3 CPUs free" in message.replace(
        "2 CPUs, 1 CPU", "1 CPU, 2 CPUs"
    )


@pytest.mark.parametrize("token", [{"RAY_AUTH_TOKEN": TOKEN[::-1]}, {"RAY_AUTH_MODE": "disabled"}])
def test_a_rejected_token_raises_an_error_with_the_address(cluster, train, token):
    done = train(ModelConfig(), {"num_workers": 1, "ray_address": cluster}, **token)
    assert done.returncode == 1
    message = (
        f"TrainingError: The Ray cluster at {cluster} does not accept the token. Set RAY_AUTH_"
    )
    assert done.stderr.splitlines()[-1].startswith(message)
