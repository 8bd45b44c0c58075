"""Two weeks of nights, one after the other, with all that may happen in them.

Each night new data come, as a span of a few rows, and a process works on them as cron would start
it. After each process, whether it ended or was killed, ``Watch`` looks at all that is there.
"""

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from night_processes import NightProcess
from night_watch import KEEP_RUNS, KEEP_VERSIONS, Watch
from whole_runs import QUICK, write_config

from diptych.cli.main import main
from diptych.pipeline.runs.records import read_run, read_runs
from diptych.schemas.balance import SplitBalance
from diptych.schemas.versions import rolled_back, versions

KILLED = -9
CLASSES = ("ant", "bee", "cat", "dog", "emu")
CENTRES = np.random.default_rng(0).normal(size=(len(CLASSES), 5)) * 4


class Fortnight:
    """The data, the nights so far, and what must hold after each."""

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
            evaluate={"bars": {"accuracy": 0.8}, "max_drop": 0.5, "bootstrap": 100},
            nightly={"keep_runs": KEEP_RUNS, "keep_versions": KEEP_VERSIONS},
        )
        self.watch = Watch(self.root)
        self._processes = 0

    def arrives(self, day, *, version=1, classes=3, rows=60, shuffled=False, corrupt=False):
        """A span of data, there at once as a whole."""
        generator = np.random.default_rng((day, version))
        labels = generator.integers(0, classes, rows)
        values = CENTRES[labels] + generator.normal(size=(rows, 5))
        table = pd.DataFrame(values.round(4), columns=list("abcde"))
        if corrupt:
            labels = np.where(np.arange(rows) % 2, labels, -1)
        if shuffled:
            labels = generator.integers(0, classes, rows)
        table.insert(0, "species", [CLASSES[label] if label >= 0 else None for label in labels])
        beside = self.folder / "beside"
        beside.mkdir()
        table.to_csv(beside / "rows.csv", index=False)
        place = self.folder / "data" / f"span-2026-11-{day:02}" / f"v{version}"
        place.parent.mkdir(parents=True, exist_ok=True)
        beside.rename(place)

    def change(self, key, value):
        """Another value of a setting from now on."""
        tree = yaml.safe_load(self.config.read_text())
        section, _, name = key.partition(".")
        tree[section][name] = value
        self.config.write_text(yaml.safe_dump(tree))

    def start(self, kill=None):
        """A process that works on the night."""
        self._processes += 1
        return NightProcess(self.config, self.root, self.folder / f"out-{self._processes}", kill)

    def night(self, kill=None):
        """What a process came to, after all was looked at: exit code and summary."""
        code, summary = self.start(kill).end()
        self.watch.look(was_killed=code == KILLED)
        return code, summary

    @property
    def steps(self):
        """Names of the steps of the last run that came to its end."""
        ended = [run for run in read_runs(self.root) if run.step("Pusher")]
        return [step.name for step in ended[-1].steps]

    @property
    def production(self):
        """Number of the version in production."""
        return versions(self.serving)[-1].name

    def is_pushed(self):
        """Works on the night, and finds its model in production; gives the summary."""
        return self.is_finished(self.production if self.serving.is_dir() else None)

    def is_finished(self, before):
        """Works on what is left of a night that was killed; gives the summary."""
        code, summary = self.night()
        assert (code, summary["outcome"], summary["error"]) == (0, "pushed", None)
        assert self.production == summary["version"] != before
        return summary

    def is_refused(self, code, outcome):
        """Works on the night, and leaves production as it was; gives the summary."""
        before = self.production
        found, summary = self.night()
        assert (found, summary["outcome"]) == (code, outcome)
        assert self.production == before
        return summary


@pytest.fixture(scope="module")
def weeks(tmp_path_factory):
    return Fortnight(tmp_path_factory.mktemp("weeks"))


def test_night_1_pushes_the_first_model(weeks):
    weeks.arrives(1)
    weeks.is_pushed()


def test_night_2_has_nothing_new(weeks):
    summary = weeks.is_refused(0, "nothing new")
    assert summary["version"] == weeks.production


def test_night_3_brings_new_classes(weeks):
    weeks.arrives(3, classes=5)
    run = read_run(weeks.root, weeks.is_pushed()["run"])
    balance = SplitBalance.read(run.output("PairGen", "balance").path, "train")
    assert balance.classes.num_classes == len(CLASSES)


def test_night_4_is_corrupt_and_fails(weeks):
    weeks.arrives(4, corrupt=True)
    summary = weeks.is_refused(1, "failed")
    assert "2026-11-04" in summary["error"]


def test_night_5_leaves_the_corrupt_one_out(weeks):
    weeks.arrives(5)
    weeks.is_pushed()


def test_night_6_has_wrong_labels_and_its_model_is_not_blessed(weeks):
    weeks.arrives(6, rows=240, shuffled=True)
    weeks.is_refused(3, "not blessed")


def test_night_7_has_them_mended(weeks):
    weeks.arrives(6, version=2)
    weeks.arrives(7)
    weeks.is_pushed()


def test_night_8_is_killed_in_the_middle_of_each_step_in_turn(weeks):
    weeks.arrives(8)
    before = weeks.production
    for step in weeks.steps:
        assert weeks.night((step, "middle")) == (KILLED, None)
        assert step == "Pusher" or weeks.production == before
    weeks.is_finished(before)


def test_night_9_is_killed_before_the_outputs_of_a_step_are_recorded(weeks):
    weeks.change("train.epochs", 7)
    before = weeks.production
    for step in ("Trainer", "Evaluator"):
        assert weeks.night((step, "end")) == (KILLED, None)
        assert weeks.production == before
    assert weeks.night(("Pusher", "end")) == (KILLED, None)
    pushed = versions(weeks.serving)
    assert weeks.production != before
    weeks.is_finished(before)
    assert versions(weeks.serving)[-1] == pushed[-1]  # it is not pushed a second time


def test_night_10_two_processes_at_once_are_one_too_many(weeks):
    weeks.change("train.epochs", 8)
    both = [weeks.start() for _ in range(2)]
    ended = dict(process.end() for process in both)
    assert {code: told["outcome"] for code, told in ended.items()} == {0: "pushed", 4: "busy"}
    assert weeks.production == ended[0]["version"]
    weeks.watch.look(was_killed=False)


def test_after_night_10_its_model_is_rolled_back_and_stays_so(weeks):
    *_, before, newest = [path.name for path in versions(weeks.serving)]
    done = CliRunner().invoke(main, ["rollback", "--root", str(weeks.root)])
    assert done.exit_code == 0, done.output
    assert weeks.production == before
    weeks.is_refused(0, "nothing new")
    assert [path.name for path in rolled_back(weeks.serving)] == [newest]


def test_night_11_is_killed_as_steps_start_and_compared_with_the_version_rolled_back_to(weeks):
    weeks.change("train.epochs", 9)
    before = weeks.production
    for step in ("Trainer", "Evaluator", "Pusher"):
        assert weeks.night((step, "start")) == (KILLED, None)
        assert weeks.production == before
    summary = weeks.is_finished(before)
    assert summary["production"] == str(weeks.serving / before)


def test_night_12_takes_the_examples_of_former_nights_from_the_cache(weeks):
    weeks.change("train.epochs", 10)
    run = read_run(weeks.root, weeks.is_pushed()["run"])
    ran = [step.name for step in run.steps if step.state == "ran"]
    assert ran == ["Trainer", "Evaluator", "Pusher"]
    assert weeks.steps[-3:] == ran


def test_night_13_has_nothing_new(weeks):
    weeks.is_refused(0, "nothing new")


def test_night_14_pushes_and_no_more_is_kept_than_asked_for(weeks):
    weeks.arrives(14)
    weeks.is_pushed()
    assert len(versions(weeks.serving)) == KEEP_VERSIONS
    assert len(list((weeks.root / "runs").iterdir())) == KEEP_RUNS


def test_the_history_tells_of_all_nights(weeks):
    done = CliRunner().invoke(main, ["runs", "--root", str(weeks.root)])
    assert done.exit_code == 0, done.output
    for word in (
        "pruned",
        "failed",
        "done",
        "rolled back",
        "not blessed",
        "gone",
        f"{weeks.production} *",
    ):
        assert word in done.output
