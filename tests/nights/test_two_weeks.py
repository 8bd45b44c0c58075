"""Simulation of two weeks of nights, with failures, kills and a rollback.

Each night a new span of a few rows arrives, and a process runs as cron would start it. After each
process, complete or killed, ``RootInvariants`` checks the pipeline root.
"""

import importlib.util

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from night_processes import PRELOADED, NightProcess
from night_watch import KEEP_RUNS, KEEP_VERSIONS, RootInvariants
from pipeline_runs import QUICK, write_config

from diptych.cli.main import main
from diptych.pipeline.runs.records import read_run, read_runs
from diptych.schemas.balance import SplitBalance
from diptych.schemas.versions import list_rolled_back, list_versions

KILLED = -9
CLASSES = ("ant", "bee", "cat", "dog", "emu")
CENTERS = np.random.default_rng(0).normal(size=(len(CLASSES), 5)) * 4


class Fortnight:
    """Data, configuration and pipeline root of the simulation."""

    def __init__(self, folder):
        self.folder, self.root, self.serving = folder, folder / "root", folder / "root" / "serving"
        self.config = write_config(
            folder,
            {
                "kind": "table",
                "path": "data/span-{YYYY}-{MM}-{DD}/v{VERSION}/rows.csv",
                "label": "species",
                "window": 3,
            },
            train={**QUICK["train"], "epochs": 6},
            evaluate={
                # The plain distance separates the clusters; the nights are about other decisions.
                "requirements": {"accuracy": 0.8, "beats_baseline": False},
                "max_accuracy_drop": 0.5,
                "bootstrap": 100,
            },
            nightly={"keep_runs": KEEP_RUNS, "keep_versions": KEEP_VERSIONS},
        )
        self.invariants = RootInvariants(self.root)
        self._processes = 0

    def add_span(self, day, *, version=1, classes=3, rows=60, shuffled=False, corrupt=False):
        """Write a span of data, and rename it when it is complete."""
        generator = np.random.default_rng((day, version))
        labels = generator.integers(0, classes, rows)
        values = CENTERS[labels] + generator.normal(size=(rows, 5))
        table = pd.DataFrame(values.round(4), columns=list("abcde"))
        if corrupt:
            labels = np.where(np.arange(rows) % 2, labels, -1)
        if shuffled:
            labels = generator.integers(0, classes, rows)
        table.insert(0, "species", [CLASSES[label] if label >= 0 else None for label in labels])
        partial = self.folder / "partial"
        partial.mkdir()
        table.to_csv(partial / "rows.csv", index=False)
        span = self.folder / "data" / f"span-2026-11-{day:02}" / f"v{version}"
        span.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(span)

    def set_config(self, key, value):
        """Change a value in the configuration."""
        tree = yaml.safe_load(self.config.read_text())
        section, _, name = key.partition(".")
        tree[section][name] = value
        self.config.write_text(yaml.safe_dump(tree))

    def start(self, kill=None):
        """Start a process that works on the night."""
        self._processes += 1
        return NightProcess(self.config, self.root, self.folder / f"out-{self._processes}", kill)

    def run_night(self, kill=None):
        """Run a process, check the invariants, and return exit code and summary."""
        code, summary = self.start(kill).end()
        self.invariants.check(was_killed=code == KILLED)
        return code, summary

    @property
    def steps(self):
        """Names of the steps of the last complete run."""
        complete = [run for run in read_runs(self.root) if run.step("Pusher")]
        return [step.name for step in complete[-1].steps]

    @property
    def production(self):
        """Number of the version in production."""
        return list_versions(self.serving)[-1].name

    def run_and_expect_push(self):
        """Run the night, assert that its model is in production, and return the summary."""
        return self.resume_and_expect_push(self.production if self.serving.is_dir() else None)

    def resume_and_expect_push(self, before):
        """Resume a killed night, assert that it pushes another version, and return the summary."""
        code, summary = self.run_night()
        assert (code, summary["outcome"], summary["error"]) == (0, "pushed", None)
        assert self.production == summary["version"] != before
        return summary

    def run_and_expect_no_push(self, code, outcome):
        """Run the night, assert that production is unchanged, and return the summary."""
        before = self.production
        exit_code, summary = self.run_night()
        assert (exit_code, summary["outcome"]) == (code, outcome)
        assert self.production == before
        return summary


@pytest.fixture(scope="module")
def weeks(tmp_path_factory):
    return Fortnight(tmp_path_factory.mktemp("weeks"))


def test_all_preloaded_modules_exist():
    assert [name for name in PRELOADED if importlib.util.find_spec(name) is None] == []


def test_night_1_pushes_the_first_model(weeks):
    weeks.add_span(1)
    weeks.run_and_expect_push()


def test_night_2_has_nothing_new(weeks):
    summary = weeks.run_and_expect_no_push(0, "nothing new")
    assert summary["version"] == weeks.production


def test_night_3_brings_new_classes(weeks):
    weeks.add_span(3, classes=5)
    run = read_run(weeks.root, weeks.run_and_expect_push()["run"])
    balance = SplitBalance.read(run.output("PairGen", "balance").path, "train")
    assert balance.classes.num_classes == len(CLASSES)


def test_night_4_is_corrupt_and_fails(weeks):
    weeks.add_span(4, corrupt=True)
    summary = weeks.run_and_expect_no_push(1, "failed")
    assert "2026-11-04" in summary["error"]


def test_night_5_excludes_the_corrupt_span(weeks):
    weeks.add_span(5)
    weeks.run_and_expect_push()


def test_night_6_has_wrong_labels_and_its_model_is_not_blessed(weeks):
    weeks.add_span(6, rows=240, shuffled=True)
    weeks.run_and_expect_no_push(3, "not blessed")


def test_night_7_has_corrected_labels(weeks):
    weeks.add_span(6, version=2)
    weeks.add_span(7)
    weeks.run_and_expect_push()


def test_night_8_is_killed_in_the_middle_of_each_step_in_turn(weeks):
    weeks.add_span(8)
    before = weeks.production
    for step in weeks.steps:
        assert weeks.run_night((step, "middle")) == (KILLED, None)
        assert step == "Pusher" or weeks.production == before
    weeks.resume_and_expect_push(before)


def test_night_9_is_killed_before_the_outputs_of_a_step_are_recorded(weeks):
    weeks.set_config("train.epochs", 7)
    before = weeks.production
    for step in ("Trainer", "Evaluator"):
        assert weeks.run_night((step, "end")) == (KILLED, None)
        assert weeks.production == before
    assert weeks.run_night(("Pusher", "end")) == (KILLED, None)
    pushed = list_versions(weeks.serving)
    assert weeks.production != before
    weeks.resume_and_expect_push(before)
    assert list_versions(weeks.serving)[-1] == pushed[-1]  # not pushed a second time


def test_night_10_rejects_a_second_process(weeks):
    weeks.set_config("train.epochs", 8)
    both = [weeks.start() for _ in range(2)]
    summaries = dict(process.end() for process in both)
    assert {code: summary["outcome"] for code, summary in summaries.items()} == {
        0: "pushed",
        4: "busy",
    }
    assert weeks.production == summaries[0]["version"]
    weeks.invariants.check(was_killed=False)


def test_the_model_of_night_10_is_rolled_back_and_not_pushed_again(weeks):
    *_, before, newest = [path.name for path in list_versions(weeks.serving)]
    result = CliRunner().invoke(main, ["rollback", "--root", str(weeks.root)])
    assert result.exit_code == 0, result.output
    assert weeks.production == before
    weeks.run_and_expect_no_push(0, "nothing new")
    assert [path.name for path in list_rolled_back(weeks.serving)] == [newest]


def test_night_11_is_killed_as_steps_start_and_compared_with_the_version_in_production(weeks):
    weeks.set_config("train.epochs", 9)
    before = weeks.production
    for step in ("Trainer", "Evaluator", "Pusher"):
        assert weeks.run_night((step, "start")) == (KILLED, None)
        assert weeks.production == before
    summary = weeks.resume_and_expect_push(before)
    assert summary["production"] == str(weeks.serving / before)


def test_night_12_takes_the_examples_of_earlier_nights_from_the_cache(weeks):
    weeks.set_config("train.epochs", 10)
    run = read_run(weeks.root, weeks.run_and_expect_push()["run"])
    ran = [step.name for step in run.steps if step.state == "ran"]
    assert ran == ["Trainer", "Evaluator", "Pusher"]
    assert weeks.steps[-3:] == ran


def test_night_13_has_nothing_new(weeks):
    weeks.run_and_expect_no_push(0, "nothing new")


def test_night_14_pushes_and_keeps_the_configured_numbers_of_runs_and_versions(weeks):
    weeks.add_span(14)
    weeks.run_and_expect_push()
    assert len(list_versions(weeks.serving)) == KEEP_VERSIONS
    assert len(list((weeks.root / "runs").iterdir())) == KEEP_RUNS


def test_diptych_runs_shows_all_nights(weeks):
    result = CliRunner().invoke(main, ["runs", "--root", str(weeks.root)])
    assert result.exit_code == 0, result.output
    for word in (
        "pruned",
        "failed",
        "done",
        "rolled back",
        "not blessed",
        "deleted",
        f"{weeks.production} *",
    ):
        assert word in result.output
