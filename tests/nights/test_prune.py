"""Pruning of runs that TFX has recorded."""

import contextlib
import json
import os
import sqlite3
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from synthetic_versions import make_version
from toy_runs import run_toy

from diptych.cli.main import main
from diptych.pipeline.nightly.pruning import PruneCounts, prune
from diptych.pipeline.runs.records import read_run, read_runs
from diptych.schemas.config.nightly import NightlyConfig
from diptych.schemas.versions import list_versions

TWO = NightlyConfig(keep_runs=2, keep_versions=2)
FIRST, KILLED, SECOND, THIRD = "night-1", "night-2", "night-3", "night-4"


@pytest.fixture
def root(tmp_path):
    """Pipeline root with three complete runs and an interrupted one, with the same examples."""
    make_run(tmp_path, FIRST, learning_rate=0.1)
    with contextlib.suppress(KeyboardInterrupt):
        make_run(tmp_path, KILLED, learning_rate=0.1, code="c2", end="interrupted")
    make_run(tmp_path, SECOND, learning_rate=0.2, rounds=2)
    make_run(tmp_path, THIRD, learning_rate=0.3, rounds=2)
    return tmp_path


def make_run(root, name, **options):
    for path in (root / "runs" / name / "log.txt", root / "nights" / f"{name}.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    run_toy(root, name, **options)


def prune_root(root, config=TWO):
    return prune(root, root / "serving", "toy", config)


def files(root):
    return sorted(str(path) for path in root.rglob("*") if "metadata" not in path.name)


def states(root, name):
    return {step.name: step.state for step in read_run(root, name).steps}


def outputs(run):
    return {
        artifact.path
        for step in run.steps
        for artifacts in step.outputs.values()
        for artifact in artifacts
    }


def test_artifacts_of_only_old_runs_are_deleted_and_the_others_unchanged(root):
    first, killed, second, third = read_runs(root)
    shared = first.output("ExampleGen", "examples").path
    partial = root / "artifacts" / "Trainer" / "model" / str(killed.step("Trainer").id)
    assert partial.is_dir()
    assert prune_root(root) == PruneCounts(runs=2, versions=1)
    assert {path for run in (second, third) for path in outputs(run) if path.exists()} == {
        path for run in (second, third) for path in outputs(run)
    }
    assert [path for path in outputs(first) if path.exists()] == [
        path for path in outputs(first) if path in outputs(third)
    ]
    assert shared.is_dir() and not partial.exists()
    assert sorted(path.name for path in (root / "runs").iterdir()) == [SECOND, THIRD]
    assert sorted(path.name for path in (root / "nights").iterdir()) == [
        f"{SECOND}.json",
        f"{THIRD}.json",
    ]
    assert len(list_versions(root / "serving")) == 2
    assert not list(root.rglob(".trash"))
    before = files(root)
    assert prune_root(root) == PruneCounts(runs=0, versions=0)
    assert files(root) == before


def test_the_cache_never_returns_pruned_artifacts(root):
    prune_root(root)
    make_run(root, "night-5", learning_rate=0.1)
    assert states(root, "night-5") == {
        **{"ExampleGen": "cached", "PairGen": "ran", "Trainer": "ran"},
        **{"Evaluator": "ran", "Pusher": "ran"},
    }
    assert all(path.exists() for path in outputs(read_run(root, "night-5")))
    make_run(root, "night-6", learning_rate=0.3, rounds=2)
    assert states(root, "night-6")["Trainer"] == "cached"


def test_commands_show_pruned_runs_as_pruned(root):
    def run_command(command, *arguments):
        return CliRunner().invoke(main, [command, "--root", str(root), *arguments])

    prune_root(root)
    runs = {each["run"]: each for each in json.loads(run_command("runs", "--json").output)}
    assert [runs[name]["state"] for name in (FIRST, KILLED, SECOND)] == [
        *("pruned", "interrupted", "done")
    ]
    assert (runs[FIRST]["model_exists"], runs[FIRST]["accuracy"]["value"]) == (False, 0.9)
    line = next(line for line in run_command("runs").output.splitlines() if line.startswith(FIRST))
    assert "pruned" in line and "deleted" in line
    compared = run_command("compare-runs", FIRST, THIRD)
    assert compared.exit_code == 0, compared.output
    report = run_command("report", FIRST)
    assert report.exit_code == 1
    assert "have been pruned" in report.output
    assert report.output.count("\n") == 1


@pytest.mark.parametrize("moves", range(0, 12, 3))
def test_a_killed_prune_is_completed_by_the_next(root, monkeypatch, moves):
    rename, remaining = Path.rename, [moves]

    def interrupt_after(path, target):
        if remaining[0] == 0:
            raise KeyboardInterrupt
        remaining[0] -= 1
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupt_after)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            prune_root(root)
    kept = [path for run in read_runs(root)[2:] for path in outputs(run)]
    assert all(path.exists() for path in kept)
    prune_root(root)
    assert all(path.exists() for path in kept)
    deleted = outputs(read_runs(root)[0]) - set(kept)
    assert len(deleted) == 7 and not [path for path in deleted if path.exists()]
    assert sorted(path.name for path in (root / "runs").iterdir()) == [SECOND, THIRD]
    assert len(list_versions(root / "serving")) == 2
    assert not list(root.rglob(".trash"))


def test_production_and_the_last_blessed_version_are_kept_and_rolled_back_ones_counted_separately(
    root,
):
    serving = root / "serving"
    for number in (1, 2, 3):
        make_version(serving / ".rolled-back", number)
    *_, production = list_versions(serving)
    last = read_runs(root)[-1].output("Pusher", "pushed_model").properties["pushed_destination"]
    assert str(production) == last
    for number in (9001, 9002):  # pushed by hand
        make_version(serving, number)
    assert prune_root(root).versions == 3
    assert [path.name for path in list_versions(serving)] == [production.name, "9001", "9002"]
    assert [path.name for path in list_versions(serving / ".rolled-back")] == ["2", "3"]


def test_files_without_a_record_are_deleted_if_older_than_the_newest_runs(root):
    long_ago = time.time() - 1e6
    checkpoints = root / "artifacts" / "Trainer" / "checkpoints"
    for name, is_old in (("old", True), ("in-use", False)):
        (checkpoints / name).mkdir(parents=True)
        checkpoint = checkpoints / name / "checkpoint.npz"
        checkpoint.touch()
        (root / "runs" / name).mkdir()
        if is_old:
            for path in (checkpoint, checkpoint.parent, root / "runs" / name):
                os.utime(path, (long_ago, long_ago))
    prune_root(root)
    assert [path.name for path in checkpoints.iterdir()] == ["in-use"]
    assert sorted(path.name for path in (root / "runs").iterdir()) == ["in-use", SECOND, THIRD]


def test_nothing_is_deleted_if_all_runs_are_kept(root):
    before = files(root)
    assert prune_root(root, NightlyConfig()) == PruneCounts(runs=0, versions=0)
    assert files(root) == before


def rewrite_uris(root, uris):
    """Change the paths that the database records for artifacts, by id."""
    with contextlib.closing(sqlite3.connect(root / "metadata.sqlite")) as database, database:
        for number, uri in uris.items():
            database.execute("UPDATE Artifact SET uri = ? WHERE id = ?", (str(uri), number))


@pytest.fixture
def victim(tmp_path_factory):
    """Folder outside of the root."""
    return tmp_path_factory.mktemp("victim")


def test_nothing_outside_of_the_folders_of_artifacts_is_deleted(root, victim, caplog):
    artifacts, relative = root / "artifacts", os.path.relpath(victim, root / "artifacts")
    (victim / "folder" / "7").mkdir(parents=True)
    (victim / "5").mkdir()
    make_version(victim, 6)
    kept = read_runs(root)[-1].output("Trainer", "model").path
    (artifacts / "Trainer" / "link").symlink_to(victim / "folder")
    first = read_runs(root)[0]
    pruned = [artifact.id for artifact in first.artifacts if artifact.path.exists()]
    uris = [
        artifacts / relative,
        f"{artifacts}/Trainer/../{relative}/folder/7",
        f"{artifacts}/Trainer/link/7",
        artifacts,
        root,
        kept,
        f"{artifacts}/Trainer/model/../model/{kept.name}",
        f"{artifacts}/Trainer",
    ]
    rewrite_uris(root, dict(zip(pruned, uris, strict=False)))
    (root / "runs" / FIRST).rename(victim / FIRST)
    (root / "runs" / FIRST).symlink_to(victim / FIRST)
    (root / "serving" / "1").symlink_to(victim / "6")
    before = files(victim)

    prune_root(root)
    assert files(victim) == before
    assert kept.is_dir() and artifacts.is_dir()
    assert (root / "runs" / FIRST).is_symlink()
    assert (root / "serving" / "1").is_symlink()
    for path in (root / "runs" / FIRST, root / "serving" / "1"):
        assert (
            f"Not deleted, because it is not a file or folder of {path.parent.parent}"
            in (caplog.text)
            or str(path) in caplog.text
        )


@pytest.mark.parametrize("folder", [".trash", "artifacts", "runs", "nights"])
def test_a_link_in_place_of_a_folder_of_the_root_is_not_followed(root, victim, folder):
    if folder != ".trash":
        (root / folder).rename(victim / folder)
        victim /= folder
    (root / folder).symlink_to(victim)
    before = files(victim)
    prune_root(root)
    assert files(victim) == before


def test_a_root_that_is_a_link_is_pruned(root, victim):
    link = victim / "link"
    link.symlink_to(root)
    assert prune_root(link) == PruneCounts(runs=2, versions=1)
    first, _, _, third = read_runs(root)
    assert {path for path in outputs(first) if path.exists()} == outputs(first) & outputs(third)
