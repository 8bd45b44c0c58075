"""Complete runs behind a proxy, with names that mean something else, and in odd environments."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from exposure import record_listening, writable_by_others
from hostile_modules import HostileFolder
from hostile_names import SPECIAL
from PIL import Image
from pipeline_runs import DIPTYCH, QUICK, blobs, pushed_version
from recording_proxy import closed_port, proxy_environment, recording_proxy

import diptych

ON_RAY = {**QUICK, "train": {**QUICK["train"], "num_workers": 1}}
# Every character of SPECIAL, and a leading dash; the classes differ in a line break only.
ROOT = "-out [v2] {SPAN} 100% *?" + SPECIAL.replace("/", "")
CLASSES = ["a [1]", "line\nbreak", "line break", "-x,\"y';$(z)<b>", "猫 %s {{ 1 }}"]


def run_diptych(*arguments, environment=None, folder=None):
    """Run a command as a user does; return its result."""
    return subprocess.run(
        [*DIPTYCH, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=400,
        env=None if environment is None else {**os.environ, **environment},
        cwd=folder,
        check=False,
    )


def write_table(folder):
    x, labels = blobs(300, seed=1)
    table = pd.DataFrame(x, columns=list("abcde"))
    table.insert(0, "species", np.array(["ant", "bee", "cat"])[labels])
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "rows.csv", index=False)


def write_config(path, data, **sections):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"name": "toy", "data": data, **ON_RAY, **sections}))
    return path


def test_a_proxy_receives_no_request_and_the_working_directory_contains_no_libraries(tmp_path):
    hostile = HostileFolder(tmp_path / "working directory")

    def run_here(*arguments, environment):
        return run_diptych(*arguments, environment=environment, folder=hostile.path)

    write_table(tmp_path / "data")
    config = write_config(
        tmp_path / "config.yaml", {"kind": "table", "path": "data", "label": "species"}
    )
    with recording_proxy() as (environment, requests), record_listening() as listening:
        live = run_here("run", config, "--root", tmp_path / "live", environment=environment)
    pushed_version(live, tmp_path / "live")
    assert requests == []
    names = {name for _, _, name in listening}
    assert names >= {"raylet", "gcs_server"}
    assert {ip for ip, _, _ in listening} <= {"127.0.0.1", "::1"}
    assert writable_by_others(tmp_path / "live") == {}
    dead = proxy_environment(closed_port())
    root = tmp_path / "dead"
    tune = '{"space": {"train.learning_rate": {"choice": [0.001, 0.003]}}, "trials": 2}'
    night = run_here("run", config, "--root", root, "--nightly", environment=dead)
    pushed_version(night, root)
    search = run_here("tune", config, "--root", root, "--set", f"tune={tune}", environment=dead)
    assert search.returncode == 0, search.stdout + search.stderr
    out = tmp_path / "embedded"
    embed = run_here(
        *("embed", tmp_path / "data", "--model", root / "serving", "--out", out),
        *("--runner", "local"),
        environment=dead,
    )
    assert embed.returncode == 0, embed.stdout + embed.stderr
    assert pq.read_table(out).num_rows == 300
    assert hostile.imported() == []


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A run whose root, data, configuration and classes have names of special characters."""
    folder = tmp_path_factory.mktemp("hostile") / f"work {SPECIAL[:20]}"
    generator = np.random.default_rng(3)
    for number, label in enumerate(CLASSES):
        images = folder / ROOT / label
        images.mkdir(parents=True)
        for index in range(24):
            pixels = generator.integers(0, 60, (12, 12), np.uint8)
            pixels[:, number * 2 : number * 2 + 2] = generator.integers(180, 255)
            Image.fromarray(pixels).save(images / f"{index} [{index % 2}]\n%.png")
    data = {"kind": "images", "path": ROOT, "size": [12, 12], "channels": 1}
    # The plain distance separates stripes at different places.
    evaluate = {"requirements": {"accuracy": 0.7, "beats_baseline": False}, "bootstrap": 100}
    config = write_config(folder / f"{ROOT}.yaml", data, evaluate=evaluate)
    root = folder / f"root {ROOT}"
    result = run_diptych("run", "--root", root, "--", config)
    return config, root, result


def test_a_run_works_with_every_character_in_the_names(hostile):
    config, root, result = hostile
    pushed_version(result, root)
    assert "\x1b[2J" not in result.stdout
    report = (root / "runs" / diptych.open_run(root).name / "report.html").read_text()
    assert "<b>'" not in report
    planned = run_diptych("run", "--root", root, "--dry-run", "--", config)
    assert planned.returncode == 0, planned.stderr
    assert "would run" not in planned.stdout
    for command in ("runs", "report"):
        shown = run_diptych(command, "--root", root)
        assert shown.returncode == 0, shown.stderr


def test_classes_that_differ_in_a_line_break_stay_apart(hostile):
    _, root, result = hostile
    pushed_version(result, root)
    run = diptych.open_run(root)
    pairs = diptych.read_pairs(run, "train")
    labels = set(pairs.examples["label"].to_pylist())
    classes = pairs.examples.group_by(["label", "class"]).aggregate([])
    assert {label.decode() for label in labels} == set(CLASSES)
    assert len(classes) == len(CLASSES)
    assert min(classes["class"].to_pylist()) == 0


def test_the_commands_work_with_every_character_in_the_names(hostile, tmp_path):
    config, root, result = hostile
    pushed_version(result, root)
    data = config.parent / ROOT
    left, right = (data / CLASSES[1] / f"{index} [{index % 2}]\n%.png" for index in (0, 1))
    model = root / "serving"
    compared = run_diptych("compare", "--model", model, left, right, "--json")
    assert compared.returncode == 0, compared.stderr
    assert json.loads(compared.stdout)["left"] == str(left)
    out = tmp_path / f"{ROOT}.parquet"
    embedded = run_diptych("embed", "--model", model, "--out", out, data)
    assert embedded.returncode == 0, embedded.stderr
    assert set(pq.read_table(out)["label"].to_pylist()) == set(CLASSES)
    gallery = tmp_path / ROOT
    enrolled = run_diptych("enroll", "--model", model, gallery, data)
    assert enrolled.returncode == 0, enrolled.stderr
    identified = run_diptych("identify", "--model", model, "--json", gallery, left)
    assert identified.returncode == 0, identified.stderr
    assert json.loads(identified.stdout)["candidates"][0]["label"] == CLASSES[1]


def test_a_run_works_in_a_bare_environment(tmp_path):
    """No writable HOME, TMPDIR or working folder, and a linked root on another file system."""
    write_table(tmp_path / "data")
    config = write_config(
        tmp_path / "config.yaml", {"kind": "table", "path": "data", "label": "species"}
    )
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        root = tmp_path / "link"
        root.symlink_to(other)
        result = subprocess.run(
            [*DIPTYCH, "run", str(config), "--root", str(root)],
            env={
                "PATH": os.environ["PATH"],
                "HOME": "/proc/none",
                "LC_ALL": "C",
                "PYTHONWARNINGS": "error",
                "TMPDIR": str(tmp_path / ("t" * 120)),
                "TZ": "Pacific/Kiritimati",
            },
            cwd="/proc",
            capture_output=True,
            text=True,
            timeout=400,
            umask=0o077,
            check=False,
        )
        pushed_version(result, root)
        assert Path(other, "metadata.sqlite").is_file()
