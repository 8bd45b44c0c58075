"""Commands in the image, unprivileged, without network, with a read-only root file system."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from containers import owned_by_its_user, run_in_image
from pipeline_runs import QUICK, blobs

import diptych


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """Mounts of a table with a configuration at /data and an empty root at /diptych; the root."""
    folder = tmp_path_factory.mktemp("volumes")
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    data, root = folder / "data", owned_by_its_user(folder / "root")
    data.mkdir()
    x, labels = blobs(400, seed=1)
    order = np.argsort(labels, kind="stable")  # the ants first, then the bees
    table = pd.DataFrame(x[order], columns=list("abcde"))
    table.insert(0, "species", np.array(["ant", "bee", "cat"])[labels[order]])
    table.to_csv(data / "data.csv", index=False)
    settings = {
        **QUICK,
        "name": "toy",
        "data": {"kind": "table", "path": "data.csv", "label": "species"},
        "train": {**QUICK["train"], "num_workers": 1, "cpus_per_worker": 1},
    }
    (data / "config.yaml").write_text(yaml.safe_dump(settings))
    return ["--volume", f"{data}:/data:ro", "--volume", f"{root}:/diptych"], root


def test_version_is_that_of_the_wheel():
    assert run_in_image("--version").split()[-1] == diptych.__version__


def test_the_service_starts_from_the_same_image():
    assert "--gallery" in run_in_image("serve", "--help")


def test_workers_of_ray_and_beam_start_from_the_same_image():
    assert "--head" in run_in_image("start", "--help", entrypoint="ray")
    pool = ["-m", "apache_beam.runners.worker.worker_pool_main", "--help"]
    assert "--service_port" in run_in_image(*pool, entrypoint="python")


def test_all_imported_modules_have_bytecode():
    program = (
        "import json, os, sys\n"
        "import keras, ml_metadata, ray, tensorflow_data_validation, tfx.v1\n"
        "cached = {n: getattr(m, '__cached__', None) for n, m in sys.modules.items()}\n"
        "slow = [name for name, path in cached.items() if path and not os.path.exists(path)]\n"
        "print(json.dumps([len(sys.modules), slow]))"
    )
    number, slow = json.loads(run_in_image("-c", program, entrypoint="python"))
    assert number > 3000
    assert slow == []


def test_a_run_with_ray_pushes_a_model_that_compares(volumes):
    options, root = volumes
    output = run_in_image("run", "/data/config.yaml", "--root", "/diptych", options=options)
    assert "Verdict       blessed" in output
    (version,) = [path for path in (root / "serving").iterdir() if path.name.isdigit()]
    assert (version / "saved_model.pb").stat().st_uid == 10001
    for right, same in (3, True), (300, False):
        output = run_in_image(
            "compare", "/data/data.csv:2", f"/data/data.csv:{right}", "--json", options=options
        )
        assert json.loads(output)["same"] == same
