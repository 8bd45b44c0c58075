"""A complete search on Ray Tune: killed, resumed, and its best configuration run."""

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from pipeline_runs import DIPTYCH, QUICK, blobs, write_config

from diptych.components.trainer.checkpoints import load_progress
from diptych.pipeline.tuning.space import sample_trials
from diptych.pipeline.tuning.trial_result import read_trial_results
from diptych.schemas.config.loading import load_config

EPOCHS = 20
TRIALS = 5
TUNE = {
    "trials": TRIALS,
    "grace_epochs": 10,
    "space": {
        # The last learning rate overflows float32.
        "train.learning_rate": {"choice": [1e-6, 3e-3, 1e30]},
        "pairs.classes_per_batch": {"choice": [2, 3]},
    },
}


def tune_until(config, root, ready):
    """Start a search in a subprocess, and kill it when ``ready`` returns true."""
    with subprocess.Popen(
        [*DIPTYCH, "tune", str(config), "--root", str(root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as search:
        deadline = time.monotonic() + 400
        while search.poll() is None and not ready() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert search.poll() is None, "the search ended before it was killed"
        os.killpg(search.pid, signal.SIGKILL)


def search_folder(root):
    (folder,) = (root / "tune").iterdir()
    return folder


def read_checkpoint_curves(root):
    """Curves in the checkpoints of unfinished trials, by trial number."""
    curves = {}
    for folder in sorted(root.glob("tune/*/checkpoints/*")):
        progress = load_progress(folder)
        if progress is not None:
            curves[int(folder.name)] = progress["curves"]
    return curves


def table_rows(output):
    """Rows of the table of trials."""
    lines = [line.split() for line in output.splitlines()]
    return [words for words in lines if words and words[0].isdigit()]


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """Configuration, root, state at the kill, and the call that resumed the search."""
    folder = tmp_path_factory.mktemp("search")
    x, labels = blobs(240, seed=1)
    table = pd.DataFrame(x, columns=list("abcde"))
    table["label"] = labels
    table.to_csv(folder / "data.csv", index=False)
    train = {**QUICK["train"], "epochs": EPOCHS, "patience": EPOCHS, "cpus_per_worker": 1}
    data = {"kind": "table", "path": "data.csv", "label": "label"}
    config = write_config(folder, data, train=train, tune=TUNE)
    root = folder / "root"
    tune_until(
        config,
        root,
        lambda: any(len(curves) >= 3 for curves in read_checkpoint_curves(root).values()),
    )
    unfinished, ended = (
        read_checkpoint_curves(root),
        set(read_trial_results(search_folder(root) / "trials")),
    )
    completed = subprocess.run(
        [*DIPTYCH, "tune", str(config), "--root", str(root)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return config, root, (unfinished, ended), completed


def test_an_interrupted_search_is_resumed_without_repeating_epochs(search):
    _, root, (unfinished, _), _ = search
    results = read_trial_results(search_folder(root) / "trials")
    assert unfinished
    for number, curves in unfinished.items():
        kept = json.loads((search_folder(root) / f"trials/{number:05}.json").read_text())["curves"]
        assert kept[: len(curves)] == curves  # including seconds: these epochs were not repeated
        assert len(results[number].curves) >= len(curves)
    assert not list(root.glob("tune/*/checkpoints/*"))
    assert not list(root.glob("tune/*/ray"))


def test_pair_sets_of_a_search_are_not_listed_as_runs(search):
    from diptych.pipeline.runs.records import read_runs

    _, root, _, _ = search
    assert list(root.glob("artifacts/PairGen/pairs/*"))
    assert read_runs(root) == []


def test_the_status_of_each_trial_matches_its_values(search):
    config, root, _, _ = search
    results = read_trial_results(search_folder(root) / "trials")
    assert sorted(results) == list(range(1, TRIALS + 1))
    for trial in sample_trials(load_config(config)):
        result = results[trial.number]
        if trial.config.train.learning_rate == 1e30:
            assert result.status == "failed"
            assert result.reason.startswith("The loss is not finite at epoch ")
        elif trial.config.train.learning_rate == 3e-3:
            assert result.status == "finished"
            assert len(result.curves) == EPOCHS
            assert result.accuracy > 0.95
        else:
            assert result.status in ("finished", "stopped")
            assert result.accuracy < 0.95


def test_the_console_is_quiet_and_shows_the_best_trial(search):
    _, root, (_, ended), completed = search
    assert completed.stderr == ""
    for noise in ("WARNING", "INFO", "Traceback", "ray::", "TuneError"):
        assert noise not in completed.stdout
    lines = completed.stdout.splitlines()
    assert len(lines) < 35
    assert sum(line.startswith("  Trial ") for line in lines) == TRIALS - len(ended)
    (best,) = [line for line in lines if line.startswith("Best ")]
    assert Path(best.split()[1]) == search_folder(root) / "best.yaml"
    with (search_folder(root) / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == TRIALS
    assert rows[0]["train.learning_rate"] == "0.003"
    assert (search_folder(root) / "trials.svg").is_file()


def test_a_second_call_shows_the_result_and_can_add_trials(search, capfd):
    from diptych.cli.main import main

    config, root, _, completed = search
    best = (search_folder(root) / "best.yaml").read_text()
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["tune", str(config), "--root", str(root)])
    again = capfd.readouterr().out
    assert f"{TRIALS} of them from an earlier call" in again
    assert "  Trial " not in again
    assert len(table_rows(again)) == TRIALS
    assert table_rows(again) == table_rows(completed.stdout)
    assert (search_folder(root) / "best.yaml").read_text() == best
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["tune", str(config), "--root", str(root), "--set", "tune.trials=6"])
    more = capfd.readouterr().out
    assert more.count("\n  Trial ") == 1
    assert sorted(read_trial_results(search_folder(root) / "trials")) == [1, 2, 3, 4, 5, 6]


def test_the_best_configuration_reproduces_its_trial(search, run_in_process):
    _, root, _, _ = search
    results = read_trial_results(search_folder(root) / "trials")
    with (search_folder(root) / "trials.csv").open() as file:
        number = int(next(csv.DictReader(file))["trial"])
    completed = run_in_process(search_folder(root) / "best.yaml", root)
    assert completed.returncode == 0, completed.stderr
    before, trainer = completed.stdout.split("Trainer", 1)
    assert before.count("unchanged, from the cache") == 8
    assert "from the cache" not in trainer
    (curves,) = root.glob("artifacts/Trainer/training_log/*/curves.json")
    epochs = json.loads(curves.read_text())["epochs"]
    assert [epoch["loss"] for epoch in epochs] == pytest.approx(
        [epoch.loss for epoch in results[number].curves], rel=1e-3
    )
