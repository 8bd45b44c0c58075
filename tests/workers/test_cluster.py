"""A Ray cluster of two nodes that asks for a token, and whose workers do not know Diptych."""

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
from processes import started, wait_until
from shard_writer import write_blobs

from diptych.schemas.config.model import Model
from diptych.schemas.config.train import Train

TOKEN = "a-token-of-this-test-and-of-no-other-cluster"
RAY = str(Path(sys.executable).with_name("ray"))
# Without what `pip install --editable` leaves: an import of Diptych finds nothing.
BLIND = "import sys\nsys.meta_path[:] = [f for f in sys.meta_path if '__editable__' not in repr(f)]"
# Says where it comes from, and where Diptych does.
ENCODER = """
import json, pathlib
import keras
import diptych, diptych.components.trainer.loop as loop

def build(shape, size):
    places = [diptych.__file__, loop.__file__, __file__]
    pathlib.Path({told!r}).write_text(json.dumps(places))
    return keras.Sequential([keras.Input(shape), keras.layers.Dense(size)])
"""
SETTINGS = {"batches_per_step": 2, "epochs": 1, "warmup_epochs": 0, "resources_timeout_s": 2}


def _environment(**changes):
    """That of this process, without what concerns Ray and the way to modules."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    mine.pop("PYTHONPATH", None)
    return {**mine, **changes}


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def client_port():
    return _free_port()


@pytest.fixture(scope="module")
def cluster(client_port):
    """The address of a cluster with a node of two CPUs and one of one."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))  # short: the sockets lie in it
    (folder / "sitecustomize.py").write_text(BLIND)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    environment = _environment(PYTHONPATH=str(folder), **token)
    here = {"env": environment, "cwd": folder}
    start = [RAY, "start", "--block", "--disable-usage-stats"]
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        port = _free_port()
        head = [*start, "--head", "--include-dashboard=false", "--num-cpus=2", f"--port={port}"]
        head += [f"--temp-dir={folder / 'tmp'}", f"--ray-client-server-port={client_port}"]
        process = ends.enter_context(started(head, folder / "head.log", **here))

        def address():
            words = (folder / "head.log").read_text().split("--address='")
            return len(words) > 1 and words[1].partition("'")[0]

        found = wait_until(address, timeout_s=120, of=process)
        node = [*start, f"--address={found}", "--num-cpus=1"]
        process = ends.enter_context(started(node, folder / "node.log", **here))
        wait_until(
            lambda: "Ray runtime started" in (folder / "node.log").read_text(), 120, of=process
        )
        yield found


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_blobs(tmp_path_factory.mktemp("pairs"), batches=4, num_shards=2)


@pytest.fixture
def train(pairs, tmp_path):
    """Trains in a process of its own, which knows the module ``own_encoder``."""
    # Not in the working directory: on the same machine, Ray's workers look there, too.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own_encoder.py").write_text(
        ENCODER.format(told=str(tmp_path / "told.json"))
    )

    def run(model, changes, **environment):
        settings = Train(**{**SETTINGS, **changes}).model_dump_json()
        arguments = [str(pairs), str(tmp_path / "storage"), model.model_dump_json(), settings]
        return subprocess.run(
            [sys.executable, train_driver.__file__, *arguments],
            cwd=tmp_path,
            env=_environment(PYTHONPATH=str(tmp_path / "mine"), **environment),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def test_workers_get_the_package_and_the_users_encoder_from_the_driver(cluster, train, tmp_path):
    model = Model(encoder="own_encoder:build", embedding_size=4)
    workers = {"num_workers": 2, "cpus_per_worker": 1}
    done = train(model, workers, RAY_ADDRESS=cluster, RAY_AUTH_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "storage.json").read_text())) == 1
    for place in json.loads((tmp_path / "told.json").read_text()):
        assert "/runtime_resources/py_modules_files/" in place


def test_a_process_on_no_node_trains_there_through_rays_client(
    cluster, client_port, train, tmp_path
):
    workers = {"num_workers": 2, "cpus_per_worker": 1}
    address = f"ray://127.0.0.1:{client_port}"
    done = train(Model(embedding_size=4), workers, RAY_ADDRESS=address, RAY_AUTH_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "storage.json").read_text())) == 1


def test_a_worker_that_fits_on_no_node_is_said_though_the_sum_suffices(cluster, train):
    settings = {"num_workers": 1, "cpus_per_worker": 3, "ray_address": cluster}
    done = train(Model(), settings, RAY_AUTH_TOKEN=TOKEN)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("TrainingError: Training needs 1 worker with 3 CPUs each. The Ray clu")
    assert "2 nodes (1 CPU, 2 CPUs), with 3 CPUs free" in said.replace(
        "2 CPUs, 1 CPU", "1 CPU, 2 CPUs"
    )


@pytest.mark.parametrize("token", [{"RAY_AUTH_TOKEN": TOKEN[::-1]}, {"RAY_AUTH_MODE": "disabled"}])
def test_a_cluster_that_does_not_accept_the_token_is_named_soon(cluster, train, token):
    done = train(Model(), {"num_workers": 1, "ray_address": cluster}, **token)
    assert done.returncode == 1
    says = f"TrainingError: The Ray cluster at {cluster} does not accept the token. Set RAY_AUTH_"
    assert done.stderr.splitlines()[-1].startswith(says)
