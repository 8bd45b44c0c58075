"""The compiled pipeline, with each step run like its container on Kubeflow, and a local run."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from kubeflow_launcher import Kubeflow
from pipeline_runs import (
    DIPTYCH,
    blobs,
    pushed_version,
    run_in_fresh_process,
    run_in_subprocess,
    write_config,
)

from diptych.components.trainer.warm_start import read_pushed_weights
from diptych.schemas.evaluation import EvaluationReport
from diptych.schemas.manifest import ModelManifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kubeflow")
    x, labels = blobs(400, seed=1)
    table = pd.DataFrame(x, columns=list("abcde"))
    table.insert(0, "species", np.array(["ant", "bee", "cat"])[labels])
    table.to_csv(folder / "data.csv", index=False)
    write_config(folder, {"kind": "table", "path": "data.csv", "label": "species"})
    return folder


@pytest.fixture(scope="module")
def cluster(folder):
    return Kubeflow(folder / "cluster")


@pytest.fixture(scope="module")
def runs(folder, cluster):
    with ThreadPoolExecutor() as pool:  # in parallel: both are mostly imports
        local = pool.submit(run_in_subprocess, folder / "config.yaml", folder / "local")
        first = cluster.run(_compiled(folder, "first"), "first")
    return first, pushed_version(local.result(), folder / "local")


@pytest.fixture(scope="module")
def first(runs):
    """Outputs of each step."""
    return runs[0]


@pytest.fixture(scope="module")
def local(runs):
    """The model that a local run pushed."""
    return runs[1]


def _compiled(folder, name, *settings):
    file = folder / f"{name}.yaml"
    completed = subprocess.run(
        [
            *(*DIPTYCH, "compile", str(folder / "config.yaml"), "--runner=kubeflow"),
            *("--image=diptych", f"--root={folder / 'root'}", f"--out={file}"),
            *(f"--set={setting}" for setting in settings),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return file


def _files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _artifact(local, step, key):
    (folder,) = (local.parents[1] / "artifacts" / step / key).iterdir()
    return folder


def test_the_pair_files_equal_those_of_a_local_run(first, local):
    pairs = _files(first["PairGen"]["pairs"]["path"])
    assert len(pairs) > 12
    assert pairs == _files(_artifact(local, "PairGen", "pairs"))


def test_the_evaluation_equals_that_of_a_local_run(first, local):
    evaluation = EvaluationReport.read(first["Evaluator"]["evaluation"]["path"])
    assert evaluation == EvaluationReport.read(_artifact(local, "Evaluator", "evaluation"))
    assert evaluation.blessed
    assert first["Evaluator"]["blessing"]["metadata"]["blessed"] == 1


def test_the_pushed_model_equals_that_of_a_local_run_and_can_be_loaded(first, local, folder):
    (version,) = (folder / "root" / "serving").iterdir()
    assert first["Pusher"]["pushed_model"]["metadata"]["pushed"] == 1
    for ours, theirs in zip(read_pushed_weights(version), read_pushed_weights(local), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    manifests = [ModelManifest.read(path) for path in (version, local)]
    assert manifests[0].metrics == manifests[1].metrics
    code = (
        "x = tf.constant([[1.0, 2.0, 3.0, 4.0, 5.0]])\n"
        "print(json.dumps(model.signatures['compare'](left=x, right=x)['same'].numpy().tolist()))"
    )
    assert run_in_fresh_process(version, code) == run_in_fresh_process(local, code)


def test_the_next_model_is_compared_with_the_model_in_production_and_pushed(first, folder, cluster):
    (before,) = (folder / "root" / "serving").iterdir()
    file = _compiled(folder, "second", "train.seed=1", "evaluate.max_accuracy_drop=0.5")
    second = cluster.run(file, "second", completed={"ExampleGen": first["ExampleGen"]})
    assert cluster.ran["second"] == ["Trainer", "Evaluator", "Pusher"]  # others from the cache
    evaluation = EvaluationReport.read(second["Evaluator"]["evaluation"]["path"])
    baseline = EvaluationReport.read(first["Evaluator"]["evaluation"]["path"])
    assert evaluation.production.accuracy == baseline.pairs.calibrated.accuracy.value
    assert second["Evaluator"]["blessing"]["metadata"]["production_model"] == str(before)
    newest = max((folder / "root" / "serving").iterdir(), key=lambda path: int(path.name))
    assert second["Pusher"]["pushed_model"]["metadata"]["pushed_version"] == newest.name
    assert newest != before


def test_a_data_error_is_one_line_at_the_end_of_the_log(first, folder, tmp_path):
    (folder / "data.csv").rename(folder / "moved.csv")
    try:
        with pytest.raises(AssertionError) as raised:
            Kubeflow(tmp_path).run(folder / "first.yaml", "third")
    finally:
        (folder / "moved.csv").rename(folder / "data.csv")
    assert "\nError: data.path does not exist" in str(raised.value)
