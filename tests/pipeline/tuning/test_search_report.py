"""Trial results, their ranking, the resources of a trial, and the result files of a search."""

import csv
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from diptych.cli.search_table import search_table
from diptych.pipeline.tuning.search_report import write_config_file, write_search_results
from diptych.pipeline.tuning.space import sample_trials
from diptych.pipeline.tuning.trial_resources import choose_trial_resources
from diptych.pipeline.tuning.trial_result import (
    TrialResult,
    rank_trial_results,
    read_trial_results,
    write_trial_result,
)
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.config.loading import load_config
from diptych.schemas.errors import TrainingError
from diptych.schemas.learning_curves import EpochMetrics

DATA = ImageFolder(kind="images", path="/data")


def trial_result(number, status, *epochs, reason=""):
    """Result with these (calibration loss, calibration accuracy) per epoch."""
    curves = [
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
    return TrialResult(number, status, curves, reason)


def config(trials=4, **sections):
    space = {
        "train.learning_rate": {"log_uniform": [1e-4, 1e-2]},
        "model.loss": {"choice": ["circle", {"name": "triplet", "margin": 0.3}]},
    }
    return Config(name="toy", data=DATA, tune={"space": space, "trials": trials}, **sections)


RESULTS = [
    trial_result(3, "finished", (0.4, 0.8), (0.2, 0.9), (0.3, 0.95)),
    trial_result(1, "finished", (0.4, 0.7)),
    trial_result(4, "stopped", (0.4, 0.99)),
    trial_result(2, "failed", reason="The loss is not finite, at step 1."),
]


def test_the_accuracy_is_that_of_the_epoch_with_the_lowest_loss():
    assert RESULTS[0].best.epoch == 2
    assert RESULTS[0].accuracy == 0.9
    assert RESULTS[3].accuracy == 0


def test_trials_rank_by_status_then_accuracy_then_number():
    tied = trial_result(5, "finished", (0.1, 0.9))
    assert rank_trial_results([tied, *reversed(RESULTS)]) == [RESULTS[0], tied, *RESULTS[1:]]


def test_written_results_are_read_back(tmp_path):
    assert read_trial_results(tmp_path / "none") == {}
    for result in RESULTS:
        write_trial_result(tmp_path, result)
    assert read_trial_results(tmp_path) == {result.number: result for result in RESULTS}


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
def test_a_written_configuration_is_loaded_unchanged(tmp_path, sections):
    configuration = config(**sections)
    write_config_file(tmp_path / "best.yaml", configuration)
    assert load_config(tmp_path / "best.yaml") == configuration


def test_relative_data_paths_are_written_as_absolute_paths(tmp_path):
    (tmp_path / "config.yaml").write_text("{name: toy, data: {kind: images, path: data}}")
    configuration = load_config(tmp_path / "config.yaml")
    (tmp_path / "elsewhere").mkdir()
    write_config_file(tmp_path / "elsewhere" / "best.yaml", configuration)
    loaded = load_config(tmp_path / "elsewhere" / "best.yaml")
    assert loaded.data.path == str(tmp_path / "data")


def test_result_files_are_the_best_configuration_a_table_and_a_plot(tmp_path):
    trials = sample_trials(config())
    files = write_search_results(tmp_path, trials, RESULTS)
    assert load_config(files["Best"]) == trials[2].config
    with files["Trials"].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["3", "1", "4", "2"]
    assert rows[0]["calibration_accuracy"] == "0.9"
    assert rows[0]["epochs"] == "3"
    assert rows[0]["seconds"] == "6.0"
    assert float(rows[0]["train.learning_rate"]) == trials[2].config.train.learning_rate
    assert {row["model.loss"] for row in rows} == {"circle", '{"name": "triplet", "margin": 0.3}'}
    assert rows[3]["reason"] == "The loss is not finite, at step 1."
    assert rows[3]["calibration_loss"] == ""
    assert ElementTree.parse(files["Plot"]).getroot().tag.endswith("svg")


def test_the_console_table_shows_the_best_first_with_all_keys(capsys):
    trials = sample_trials(config())
    Console(width=80).print(search_table(trials, RESULTS))
    output = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in output)
    head, rows = output[:-4], output[-4:]
    assert "learning_" in "".join(head)
    assert "…" not in "".join(output)
    assert rows[0].split()[:4] == ["3", "90.00%", "3", "finished"]
    assert rows[3].split()[:4] == ["2", "-", "0", "failed"]


def test_the_console_table_shows_at_most_twenty_trials(capsys):
    trials = sample_trials(config(trials=30))
    results = [trial_result(trial.number, "stopped", (0.5, 0.5)) for trial in trials]
    Console(width=80).print(search_table(trials, results))
    output = capsys.readouterr().out
    assert output.count("stopped") == 20
    assert "and 10 more" in output


MACHINE = {"CPU": 8.0}
GPU_MACHINE = {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("machines", "num_trials", "settings", "resources"),
    [
        ([MACHINE], 20, {}, {"CPU": 1}),
        ([MACHINE], 3, {}, {"CPU": 2}),
        ([MACHINE], 20, {"train": {"cpus_per_worker": 4}}, {"CPU": 4}),
        ([MACHINE, MACHINE], 1, {}, {"CPU": 8}),  # a trial does not span machines
        ([GPU_MACHINE], 20, {}, {"CPU": 4, "GPU": 1}),
        ([MACHINE, GPU_MACHINE], 20, {"tune": {"gpus_per_trial": 0.25}}, {"CPU": 1, "GPU": 0.25}),
    ],
)
def test_a_trial_gets_its_share_of_one_machine(machines, num_trials, settings, resources):
    configuration = Config(name="toy", data=DATA, **settings)
    assert choose_trial_resources(configuration, num_trials, machines) == resources


@pytest.mark.parametrize(
    ("machines", "settings", "message"),
    [
        ([MACHINE, MACHINE], {"train": {"cpus_per_worker": 9}}, "9 CPUs and 0 GPUs on one machine"),
        ([GPU_MACHINE], {"tune": {"gpus_per_trial": 4}}, "4 GPUs.*Ray: 8 CPUs and 2 GPUs"),
    ],
)
def test_a_trial_that_fits_no_machine_is_an_error(machines, settings, message):
    with pytest.raises(TrainingError, match=message):
        choose_trial_resources(Config(name="toy", data=DATA, **settings), 20, machines)


def test_trials_are_compared_with_results_of_an_earlier_call():
    from diptych.pipeline.tuning.search import make_asha_scheduler

    configuration = config()
    jobs = [SimpleNamespace(number=9, train=configuration.train)]
    earlier = [
        trial_result(1, "finished", (0.9, 0.5), (0.8, 0.6), (0.1, 0.9)),
        trial_result(2, "stopped", (0.9, 0.5), (0.8, 0.7)),
        trial_result(3, "failed", reason="no epoch"),
    ]

    def decide(accuracy, earlier):
        scheduler = make_asha_scheduler(configuration, jobs, earlier)
        trial = SimpleNamespace(trial_id="9")
        scheduler.on_trial_add(None, trial)
        report = {"epoch": configuration.tune.grace_epochs, "accuracy": accuracy}
        return scheduler.on_trial_result(None, trial, report)

    assert decide(0.65, earlier) == "STOP"
    assert decide(0.75, earlier) == "CONTINUE"
    assert decide(0.65, []) == "CONTINUE"


def test_trials_that_differ_only_in_training_share_their_pairs(tmp_path):
    from diptych.pipeline.tuning.pair_sets import PairSets

    trials = sample_trials(config(trials=8))
    assert list(PairSets(config(), tmp_path, "now").required_configs(trials)) == ["as configured"]


def test_each_combination_and_the_evaluation_require_pairs(tmp_path):
    from diptych.pipeline.tuning.pair_sets import PairSets

    space = {
        "pairs.classes_per_batch": {"choice": [8, 16]},
        "data.channels": {"choice": [1, 3]},
    }
    configuration = Config(name="toy", data=DATA, tune={"space": space})
    required = PairSets(configuration, tmp_path, "now").required_configs(
        sample_trials(configuration)
    )
    settings = {(each.data.channels, each.pairs.classes_per_batch) for each in required.values()}
    assert settings == {(1, 8), (1, 16), (3, 8), (3, 16)}
    assert len(required) == 4
    assert required["as configured"] == configuration
    assert set(required) >= {"data.channels = 1", "pairs.classes_per_batch = 16, data.channels = 1"}
