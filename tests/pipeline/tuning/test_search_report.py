"""What is known of trials, how they rank, and the files that a search leaves."""

import csv
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from diptych.cli.search_table import search_table
from diptych.pipeline.tuning.search_report import write_config_file, write_results
from diptych.pipeline.tuning.space import sample_trials
from diptych.pipeline.tuning.trial_resources import choose_trial_resources
from diptych.pipeline.tuning.trial_result import TrialResult, rank_trial_results, read_trial_results, write_trial_result
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.config.loading import load_config
from diptych.schemas.errors import TrainingError
from diptych.schemas.learning_curves import EpochMetrics

DATA = ImageFolder(kind="images", path="/data")


def outcome(number, end, *epochs, reason=""):
    """Epochs are calibration losses and accuracies."""
    lines = [
        EpochMetrics(
            epoch=epoch,
            loss=0.5,
            accuracy=0.9,
            calibration_loss=loss,
            calibration_accuracy=accuracy,
            examples_per_s=100.0,
            input_share=0.1,
            seconds=2.0,
        )
        for epoch, (loss, accuracy) in enumerate(epochs, 1)
    ]
    return TrialResult(number, end, lines, reason)


def config(trials=4, **sections):
    space = {
        "train.learning_rate": {"log_uniform": [1e-4, 1e-2]},
        "model.loss": {"choice": ["circle", {"name": "triplet", "margin": 0.3}]},
    }
    return Config(name="toy", data=DATA, tune={"space": space, "trials": trials}, **sections)


OUTCOMES = [
    outcome(3, "finished", (0.4, 0.8), (0.2, 0.9), (0.3, 0.95)),
    outcome(1, "finished", (0.4, 0.7)),
    outcome(4, "stopped", (0.4, 0.99)),
    outcome(2, "failed", reason="The loss is not finite, at step 1."),
]


def test_the_accuracy_is_that_of_the_weights_that_a_run_keeps():
    assert OUTCOMES[0].best.epoch == 2
    assert OUTCOMES[0].accuracy == 0.9
    assert OUTCOMES[3].accuracy == 0


def test_finished_trials_rank_before_others_then_by_accuracy_then_by_number():
    twin = outcome(5, "finished", (0.1, 0.9))
    assert rank_trial_results([twin, *reversed(OUTCOMES)]) == [OUTCOMES[0], twin, *OUTCOMES[1:]]


def test_outcomes_are_read_as_they_were_written(tmp_path):
    assert read_trial_results(tmp_path / "none") == {}
    for one in OUTCOMES:
        write_trial_result(tmp_path, one)
    assert read_trial_results(tmp_path) == {one.number: one for one in OUTCOMES}


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"pairs": {"ratio": "1:3", "sampling": "natural"}, "train": {"warm_start": "pushed"}},
        {"model": {"encoder": "my.module:build", "decoder": {"weight": 0.2}, "loss": "circle"}},
        {"model": {"encoder": {"name": "MobileNetV3Small", "weights": "/w.h5"}, "distance": None}},
        {"beam": {"runner": "flink", "options": {"flink_master": "localhost:8081"}}},
    ],
)
def test_a_written_configuration_is_loaded_as_it_was(tmp_path, sections):
    made = config(**sections)
    write_config_file(tmp_path / "best.yaml", made)
    assert load_config(tmp_path / "best.yaml") == made


def test_relative_data_are_found_from_where_the_best_configuration_lies(tmp_path):
    (tmp_path / "mine.yaml").write_text("{name: toy, data: {kind: images, path: data}}")
    made = load_config(tmp_path / "mine.yaml")
    (tmp_path / "elsewhere").mkdir()
    write_config_file(tmp_path / "elsewhere" / "best.yaml", made)
    loaded = load_config(tmp_path / "elsewhere" / "best.yaml")
    assert loaded.data.path == str(tmp_path / "data")


def test_results_are_the_best_configuration_a_table_and_a_plot(tmp_path):
    trials = sample_trials(config())
    written = write_results(tmp_path, trials, OUTCOMES)
    assert load_config(written["Best"]) == trials[2].config
    with written["Trials"].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["3", "1", "4", "2"]
    assert rows[0]["calibration_accuracy"] == "0.9"
    assert rows[0]["epochs"] == "3"
    assert rows[0]["seconds"] == "6.0"
    assert float(rows[0]["train.learning_rate"]) == trials[2].config.train.learning_rate
    assert {row["model.loss"] for row in rows} == {"circle", '{"name": "triplet", "margin": 0.3}'}
    assert rows[3]["reason"] == "The loss is not finite, at step 1."
    assert rows[3]["calibration_loss"] == ""
    assert ElementTree.parse(written["Plot"]).getroot().tag.endswith("svg")


def test_the_console_shows_the_best_first_with_all_keys(capsys):
    trials = sample_trials(config())
    Console(width=80).print(search_table(trials, OUTCOMES))
    shown = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in shown)
    head, rows = shown[:-4], shown[-4:]
    assert "learning_" in "".join(head)
    assert "…" not in "".join(shown)
    assert rows[0].split()[:4] == ["3", "90.00%", "3", "finished"]
    assert rows[3].split()[:4] == ["2", "-", "0", "failed"]


def test_a_console_of_many_trials_shows_twenty(capsys):
    trials = sample_trials(config(trials=30))
    many = [outcome(trial.number, "stopped", (0.5, 0.5)) for trial in trials]
    Console(width=80).print(search_table(trials, many))
    shown = capsys.readouterr().out
    assert shown.count("stopped") == 20
    assert "and 10 more" in shown


MACHINE = {"CPU": 8.0}
WITH_GPUS = {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("machines", "trials", "settings", "taken"),
    [
        ([MACHINE], 20, {}, {"CPU": 1}),
        ([MACHINE], 3, {}, {"CPU": 2}),
        ([MACHINE], 20, {"train": {"cpus_per_worker": 4}}, {"CPU": 4}),
        ([MACHINE, MACHINE], 1, {}, {"CPU": 8}),  # no trial lies on two
        ([WITH_GPUS], 20, {}, {"CPU": 4, "GPU": 1}),
        ([MACHINE, WITH_GPUS], 20, {"tune": {"gpus_per_trial": 0.25}}, {"CPU": 1, "GPU": 0.25}),
    ],
)
def test_a_trial_takes_its_share_of_one_machine(machines, trials, settings, taken):
    made = Config(name="toy", data=DATA, **settings)
    assert choose_trial_resources(made, trials, machines) == taken


@pytest.mark.parametrize(
    ("machines", "settings", "says"),
    [
        ([MACHINE, MACHINE], {"train": {"cpus_per_worker": 9}}, "9 CPUs and 0 GPUs of one machine"),
        ([WITH_GPUS], {"tune": {"gpus_per_trial": 4}}, "4 GPUs.*has: 8 CPUs and 2 GPUs"),
    ],
)
def test_a_trial_that_no_machine_can_hold_is_refused(machines, settings, says):
    with pytest.raises(TrainingError, match=says):
        choose_trial_resources(Config(name="toy", data=DATA, **settings), 20, machines)


def test_a_trial_is_compared_with_those_of_an_earlier_call():
    from diptych.pipeline.tuning.search import make_asha_scheduler

    made = config()
    jobs = [SimpleNamespace(number=9, train=made.train)]
    before = [
        outcome(1, "finished", (0.9, 0.5), (0.8, 0.6), (0.1, 0.9)),
        outcome(2, "stopped", (0.9, 0.5), (0.8, 0.7)),
        outcome(3, "failed", reason="no epoch"),
    ]

    def after(accuracy, known):
        scheduler = make_asha_scheduler(made, jobs, known)
        trial = SimpleNamespace(trial_id="9")
        scheduler.on_trial_add(None, trial)
        report = {"epoch": made.tune.grace_epochs, "accuracy": accuracy}
        return scheduler.on_trial_result(None, trial, report)

    assert after(0.65, before) == "STOP"
    assert after(0.75, before) == "CONTINUE"
    assert after(0.65, []) == "CONTINUE"


def test_trials_that_differ_in_training_alone_share_their_pairs(tmp_path):
    from diptych.pipeline.tuning.pair_sets import PairSets

    trials = sample_trials(config(trials=8))
    assert list(PairSets(config(), tmp_path, "now").needed(trials)) == ["as configured"]


def test_pairs_are_drawn_for_each_combination_and_for_judging(tmp_path):
    from diptych.pipeline.tuning.pair_sets import PairSets

    space = {
        "pairs.classes_per_batch": {"choice": [8, 16]},
        "data.channels": {"choice": [1, 3]},
    }
    made = Config(name="toy", data=DATA, tune={"space": space})
    needed = PairSets(made, tmp_path, "now").needed(sample_trials(made))
    held = {(of.data.channels, of.pairs.classes_per_batch) for of in needed.values()}
    assert held == {(1, 8), (1, 16), (3, 8), (3, 16)}
    assert len(needed) == 4
    assert needed["as configured"] == made
    assert set(needed) >= {"data.channels = 1", "pairs.classes_per_batch = 16, data.channels = 1"}
