"""Runs that TFX has recorded, pruned."""

import contextlib
import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_versions import make_version
from toy_runs import run_toy

from diptych.cli.main import main
from diptych.pipeline.nightly.pruning import Pruned, prune
from diptych.pipeline.runs.records import read_run, read_runs
from diptych.schemas.config.nightly import Nightly
from diptych.schemas.versions import versions

TWO = Nightly(keep_runs=2, keep_versions=2)
FIRST, KILLED, SECOND, THIRD = "night-1", "night-2", "night-3", "night-4"


@pytest.fixture
def root(tmp_path):
    """Three runs and one that was broken off, with folders of logs; all have the same examples."""
    make_run(tmp_path, FIRST, learning_rate=0.1)
    with contextlib.suppress(KeyboardInterrupt):
        make_run(tmp_path, KILLED, learning_rate=0.1, code="c2", end="interrupted")
    make_run(tmp_path, SECOND, learning_rate=0.2, rounds=2)
    make_run(tmp_path, THIRD, learning_rate=0.3, rounds=2)
    return tmp_path


def make_run(root, name, **told):
    for path in (root / "runs" / name / "log.txt", root / "nights" / f"{name}.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    run_toy(root, name, **told)


def pruned(root, settings=TWO):
    return prune(root, root / "serving", "toy", settings)


def files(root):
    return sorted(str(path) for path in root.rglob("*") if "metadata" not in path.name)


def states(root, name):
    return {step.name: step.state for step in read_run(root, name).steps}


def outputs(run):
    return {
        artifact.path
        for step in run.steps
        for several in step.outputs.values()
        for artifact in several
    }


def test_what_only_old_runs_made_goes_and_the_rest_is_as_it_was(root):
    first, killed, second, third = read_runs(root)
    shared = first.output("ExampleGen", "examples").path
    half = root / "artifacts" / "Trainer" / "model" / str(killed.step("Trainer").id)
    assert half.is_dir()
    assert pruned(root) == Pruned(runs=2, versions=1)
    assert {path for run in (second, third) for path in outputs(run) if path.exists()} == {
        path for run in (second, third) for path in outputs(run)
    }
    assert [path for path in outputs(first) if path.exists()] == [
        path for path in outputs(first) if path in outputs(third)
    ]
    assert shared.is_dir() and not half.exists()
    assert sorted(path.name for path in (root / "runs").iterdir()) == [SECOND, THIRD]
    assert sorted(path.name for path in (root / "nights").iterdir()) == [
        f"{SECOND}.json",
        f"{THIRD}.json",
    ]
    assert len(versions(root / "serving")) == 2
    assert not list(root.rglob(".trash"))
    before = files(root)
    assert pruned(root) == Pruned(runs=0, versions=0)
    assert files(root) == before


def test_the_cache_never_returns_what_was_pruned(root):
    pruned(root)
    make_run(root, "night-5", learning_rate=0.1)
    assert states(root, "night-5") == {
        **{"ExampleGen": "cached", "PairGen": "ran", "Trainer": "ran"},
        **{"Evaluator": "ran", "Pusher": "ran"},
    }
    assert all(path.exists() for path in outputs(read_run(root, "night-5")))
    make_run(root, "night-6", learning_rate=0.3, rounds=2)
    assert states(root, "night-6")["Trainer"] == "cached"


def test_pruned_runs_are_read_as_such(root):
    def told(command, *arguments):
        return CliRunner().invoke(main, [command, "--root", str(root), *arguments])

    pruned(root)
    found = {each["run"]: each for each in json.loads(told("runs", "--json").output)}
    assert [found[name]["state"] for name in (FIRST, KILLED, SECOND)] == [
        *("pruned", "broken off", "done")
    ]
    assert (found[FIRST]["model_there"], found[FIRST]["accuracy"]["value"]) == (False, 0.9)
    line = next(line for line in told("runs").output.splitlines() if line.startswith(FIRST))
    assert "pruned" in line and "gone" in line
    compared = told("compare-runs", FIRST, THIRD)
    assert compared.exit_code == 0, compared.output
    report = told("report", FIRST)
    assert report.exit_code == 1
    assert "have been pruned" in report.output
    assert report.output.count("\n") == 1


@pytest.mark.parametrize("moves", range(0, 12, 3))
def test_one_that_is_killed_is_ended_by_the_next(root, monkeypatch, moves):
    move, left = Path.rename, [moves]

    def killed_after(path, target):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return move(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed_after)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            pruned(root)
    kept = [path for run in read_runs(root)[2:] for path in outputs(run)]
    assert all(path.exists() for path in kept)
    pruned(root)
    assert all(path.exists() for path in kept)
    gone = outputs(read_runs(root)[0]) - set(kept)
    assert len(gone) == 7 and not [path for path in gone if path.exists()]
    assert sorted(path.name for path in (root / "runs").iterdir()) == [SECOND, THIRD]
    assert len(versions(root / "serving")) == 2
    assert not list(root.rglob(".trash"))


def test_versions_in_production_and_blessed_last_stay_and_the_rolled_back_are_counted_apart(root):
    serving = root / "serving"
    for number in (1, 2, 3):
        make_version(serving / ".rolled-back", number)
    *_, production = versions(serving)
    last = read_runs(root)[-1].output("Pusher", "pushed_model").properties["pushed_destination"]
    assert str(production) == last
    for number in (9001, 9002):  # pushed by hand
        make_version(serving, number)
    assert pruned(root).versions == 3
    assert [path.name for path in versions(serving)] == [production.name, "9001", "9002"]
    assert [path.name for path in versions(serving / ".rolled-back")] == ["2", "3"]


def test_what_no_run_has_recorded_goes_when_it_is_older_than_the_newest_runs(root):
    long_ago = time.time() - 1e6
    unfinished = root / "artifacts" / "Trainer" / "unfinished"
    for name, is_old in (("former", True), ("going-on", False)):
        (unfinished / name).mkdir(parents=True)
        checkpoint = unfinished / name / "checkpoint.npz"
        checkpoint.touch()
        (root / "runs" / name).mkdir()
        if is_old:
            for path in (checkpoint, checkpoint.parent, root / "runs" / name):
                os.utime(path, (long_ago, long_ago))
    pruned(root)
    assert [path.name for path in unfinished.iterdir()] == ["going-on"]
    assert sorted(path.name for path in (root / "runs").iterdir()) == ["going-on", SECOND, THIRD]


def test_where_all_are_kept_nothing_goes(root):
    before = files(root)
    assert pruned(root, Nightly()) == Pruned(runs=0, versions=0)
    assert files(root) == before
