"""A search as a user sees it: on Ray Tune, killed, gone on with, and its result run."""

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
        # The last is too much for 32 bits.
        "train.learning_rate": {"choice": [1e-6, 3e-3, 1e30]},
        "pairs.classes_per_batch": {"choice": [2, 3]},
    },
}


def tune_until(config, root, ready):
    """Starts a search as a user does, and kills it as a machine does that is switched off."""
    with subprocess.Popen(
        [*DIPTYCH, "tune", str(config), "--root", str(root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as search:
        deadline = time.monotonic() + 400
        while search.poll() is None and not ready() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert search.poll() is None, "it came to its end before it was killed"
        os.killpg(search.pid, signal.SIGKILL)


def folder_of(root):
    (folder,) = (root / "tune").iterdir()
    return folder


def trained(root):
    """The curves in the checkpoints of trials that have not come to their end, by number."""
    found = {}
    for folder in sorted(root.glob("tune/*/checkpoints/*")):
        progress = load_progress(folder)
        if progress is not None:
            found[int(folder.name)] = progress["curves"]
    return found


def rows_of(shown):
    """The rows of the table of trials."""
    lines = [line.split() for line in shown.splitlines()]
    return [words for words in lines if words and words[0].isdigit()]


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """Configuration, root, what was left at the kill, and the call that went on."""
    folder = tmp_path_factory.mktemp("search")
    x, labels = blobs(240, seed=1)
    table = pd.DataFrame(x, columns=list("abcde"))
    table["label"] = labels
    table.to_csv(folder / "data.csv", index=False)
    train = {**QUICK["train"], "epochs": EPOCHS, "patience": EPOCHS, "cpus_per_worker": 1}
    data = {"kind": "table", "path": "data.csv", "label": "label"}
    config = write_config(folder, data, train=train, tune=TUNE)
    root = folder / "root"
    tune_until(config, root, lambda: any(len(curves) >= 3 for curves in trained(root).values()))
    cut_off, ended = trained(root), set(read_trial_results(folder_of(root) / "trials"))
    done = subprocess.run(
        [*DIPTYCH, "tune", str(config), "--root", str(root)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return config, root, (cut_off, ended), done


def test_what_was_cut_off_is_gone_on_with(search):
    _, root, (cut_off, _), _ = search
    outcomes = read_trial_results(folder_of(root) / "trials")
    assert cut_off
    for number, curves in cut_off.items():
        kept = json.loads((folder_of(root) / f"trials/{number:05}.json").read_text())["curves"]
        assert kept[: len(curves)] == curves  # with their seconds: they have not been run again
        assert len(outcomes[number].curves) >= len(curves)
    assert not list(root.glob("tune/*/checkpoints/*"))
    assert not list(root.glob("tune/*/ray"))


def test_the_pairs_that_a_search_draws_are_no_runs(search):
    from diptych.pipeline.runs.records import read_runs

    _, root, _, _ = search
    assert list(root.glob("artifacts/PairGen/pairs/*"))
    assert read_runs(root) == []


def test_each_trial_comes_to_an_end_that_fits_its_values(search):
    config, root, _, _ = search
    outcomes = read_trial_results(folder_of(root) / "trials")
    assert sorted(outcomes) == list(range(1, TRIALS + 1))
    for trial in sample_trials(load_config(config)):
        outcome = outcomes[trial.number]
        if trial.config.train.learning_rate == 1e30:
            assert outcome.end == "failed"
            assert outcome.reason.startswith("The loss is not finite at epoch ")
        elif trial.config.train.learning_rate == 3e-3:
            assert outcome.end == "finished"
            assert len(outcome.curves) == EPOCHS
            assert outcome.accuracy > 0.95
        else:
            assert outcome.end in ("finished", "stopped")
            assert outcome.accuracy < 0.95


def test_the_console_is_quiet_and_shows_the_best(search):
    _, root, (_, ended), done = search
    assert done.stderr == ""
    for noise in ("WARNING", "INFO", "Traceback", "ray::", "TuneError"):
        assert noise not in done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) < 35
    assert sum(line.startswith("  Trial ") for line in lines) == TRIALS - len(ended)
    (best,) = [line for line in lines if line.startswith("Best ")]
    assert Path(best.split()[1]) == folder_of(root) / "best.yaml"
    with (folder_of(root) / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == TRIALS
    assert rows[0]["train.learning_rate"] == "0.003"
    assert (folder_of(root) / "trials.svg").is_file()


def test_a_second_call_shows_the_result_and_more_trials_are_added_to_it(search, capfd):
    from diptych.cli.main import main

    config, root, _, done = search
    best = (folder_of(root) / "best.yaml").read_text()
    with pytest.raises(SystemExit, match="^0$"):
        main(["tune", str(config), "--root", str(root)])
    again = capfd.readouterr().out
    assert f"{TRIALS} of them from an earlier call" in again
    assert "  Trial " not in again
    assert len(rows_of(again)) == TRIALS
    assert rows_of(again) == rows_of(done.stdout)
    assert (folder_of(root) / "best.yaml").read_text() == best
    with pytest.raises(SystemExit, match="^0$"):
        main(["tune", str(config), "--root", str(root), "--set", "tune.trials=6"])
    more = capfd.readouterr().out
    assert more.count("\n  Trial ") == 1
    assert sorted(read_trial_results(folder_of(root) / "trials")) == [1, 2, 3, 4, 5, 6]


def test_the_best_configuration_runs_as_its_trial_did(search, run_in_process):
    _, root, _, _ = search
    outcomes = read_trial_results(folder_of(root) / "trials")
    with (folder_of(root) / "trials.csv").open() as file:
        number = int(next(csv.DictReader(file))["trial"])
    done = run_in_process(folder_of(root) / "best.yaml", root)
    assert done.returncode == 0, done.stderr
    before, trainer = done.stdout.split("Trainer", 1)
    assert before.count("unchanged, from the cache") == 8
    assert "from the cache" not in trainer
    (curves,) = root.glob("artifacts/Trainer/training_log/*/curves.json")
    lines = json.loads(curves.read_text())["epochs"]
    assert [line["loss"] for line in lines] == pytest.approx(
        [line.loss for line in outcomes[number].curves], rel=1e-3
    )
