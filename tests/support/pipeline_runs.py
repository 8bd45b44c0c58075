"""A quick configuration for complete pipeline runs, and helpers to run and check them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

DIPTYCH = [str(Path(sys.executable).with_name("diptych"))]
QUICK = {
    "split": {"train": 0.5, "calibration": 0.25, "test": 0.25},
    "pairs": {"classes_per_batch": 3, "rounds": 1, "num_shards": 4},
    "model": {"embedding_size": 8},
    "train": {"num_workers": 0, "epochs": 12, "batches_per_step": 1, "learning_rate": 0.003},
    "evaluate": {"requirements": {"accuracy": 0.7}, "bootstrap": 100},
}


def write_config(folder, data, **sections):
    """Write a configuration; ``sections`` replace those of ``QUICK``."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"name": "toy", "data": data, **QUICK, **sections}))
    return path


def run_in_subprocess(config, root):
    """Run ``diptych run`` as a user does."""
    return subprocess.run(
        [*DIPTYCH, "run", str(config), "--root", str(root)],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def pushed_version(result, root):
    """Assert that a run succeeded, and return the only version that it pushed."""
    assert result.returncode == 0, result.stdout + result.stderr
    versions = [path for path in (root / "serving").iterdir() if path.name.isdigit()]
    assert len(versions) == 1
    assert [path.name for path in (root / "serving").iterdir()] == [versions[0].name]
    return versions[0]


def run_in_fresh_process(model, code):
    """Run code that prints JSON, with only TensorFlow and the model, as a server does."""
    program = (
        "import json, sys, tensorflow as tf\nmodel = tf.saved_model.load(sys.argv[1])\n" + code
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(model)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(result.stdout)


def assert_run_fails(result, *words):
    """Assert that a run failed with a one-line error that contains ``words``; return its log."""
    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    for word in words:
        assert word in line
    return Path(result.stderr.splitlines()[-1].removeprefix("Log: "))


def blobs(rows, seed):
    """Draw vectors of length 5 from three Gaussian classes of unequal size.

    Two numbers depend on the class and three are noise, so a trained model is more accurate than
    the plain distance between the vectors.
    """
    generator = np.random.default_rng(seed)
    labels = generator.choice(3, rows, p=[0.6, 0.3, 0.1])
    centers = np.zeros((3, 5))
    centers[1, 0] = centers[2, 3] = 10
    return (centers[labels] + generator.normal(size=(rows, 5))).astype(np.float32), labels
