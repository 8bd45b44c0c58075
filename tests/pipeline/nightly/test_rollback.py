"""``diptych rollback``."""

import pytest
from click.testing import CliRunner
from synthetic_versions import make_version

from diptych.cli.main import main
from diptych.pipeline.lock import lock_root
from diptych.pipeline.runs.outcome import read_run_outcome
from diptych.pipeline.runs.records import read_runs
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.versions import list_rolled_back, newest_version


@pytest.fixture
def serving(tmp_path):
    for number, accuracy in ((7, 0.5), (8, 0.98), (10, 0.9)):
        make_version(tmp_path / "serving", number, accuracy=accuracy)
    return tmp_path / "serving"


def roll_back(*arguments):
    return CliRunner().invoke(main, ["rollback", *map(str, arguments)])


def contents(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def test_the_previous_version_is_in_production_and_the_newest_is_kept_unchanged(serving):
    done = roll_back("--model", serving)
    assert done.exit_code == 0
    assert newest_version(serving) == serving / "8"
    (kept,) = list_rolled_back(serving)
    assert kept == serving / ".rolled-back" / "10"
    ModelManifest.read(kept).verify(kept)
    lines = [line.split("  ")[0] for line in done.output.splitlines()]
    assert lines == ["Rolled back", "In production", "Kept"]
    rolled_back, production, kept_at = done.output.splitlines()
    assert "birds, version 10 of 2026-11-21T02:10:00+00:00, accuracy 0.9" in rolled_back
    assert "version 8 of" in production and "accuracy 0.98" in production
    assert kept_at.endswith(str(kept))


def test_each_rollback_goes_one_version_back_until_one_remains(serving):
    assert roll_back("--model", serving).exit_code == 0
    assert roll_back("--model", serving).exit_code == 0
    assert newest_version(serving) == serving / "7"
    assert [path.name for path in list_rolled_back(serving)] == ["8", "10"]
    before = contents(serving)
    done = roll_back("--model", serving)
    assert done.exit_code == 1
    assert f"requires a version before the newest, but {serving} has only version 7" in done.output
    assert contents(serving) == before


def damaged(serving):
    (serving / "8" / "saved_model.pb").write_bytes(b"other")


def taken(serving):
    make_version(serving / ".rolled-back", 10)


def empty(serving):
    for version in serving.iterdir():
        version.rename(serving.parent / version.name)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damaged, "differs from its manifest: saved_model.pb has changed"),
        (taken, "cannot be moved"),
        (empty, "has no version"),
    ],
)
def test_a_failed_rollback_changes_nothing_and_reports_why_in_one_line(serving, damage, message):
    damage(serving)
    before = contents(serving)
    done = roll_back("--model", serving)
    assert done.exit_code == 1
    assert message in done.output
    assert done.output.startswith("Error: ") and done.output.count("\n") == 1
    assert contents(serving) == before


def test_a_damaged_newest_version_can_be_rolled_back(serving):
    (serving / "10" / "saved_model.pb").write_bytes(b"other")
    assert roll_back("--model", serving).exit_code == 0
    assert newest_version(serving) == serving / "8"


@pytest.fixture
def root(tmp_path):
    """A pipeline root with two runs, each of which has pushed a version."""
    from toy_runs import run_toy

    run_toy(tmp_path / "root", "2026-11-01_010000")
    run_toy(tmp_path / "root", "2026-11-02_010000", learning_rate=0.2)
    serving = tmp_path / "root" / "serving"
    for version in serving.iterdir():
        version.rename(tmp_path / version.name)
        make_version(serving, int(version.name))
    return tmp_path / "root"


def test_a_root_is_rolled_back_to_the_version_of_its_previous_run(root, monkeypatch):
    from diptych.cli.run_table import runs_table

    monkeypatch.chdir(root.parent)
    first, second = sorted(path.name for path in (root / "serving").iterdir())
    with lock_root(root):
        done = roll_back("--root", root)
        assert done.exit_code == 1
        assert "is in use by" in done.output
        assert newest_version(root / "serving").name == second
    assert roll_back().exit_code == 0
    assert newest_version(root / "serving").name == first
    outcomes = [read_run_outcome(run, root) for run in read_runs(root)]
    assert list(runs_table(outcomes).columns[-1].cells) == [f"{first} *", f"{second} rolled back"]
    assert [each.as_json()["rolled_back"] for each in outcomes] == [False, True]
    assert [each.as_json()["model_exists"] for each in outcomes] == [True, False]


def test_a_root_and_a_folder_at_the_same_time_are_a_usage_error(serving):
    assert roll_back("--root", serving, "--model", serving).exit_code == 2


@pytest.mark.parametrize("name", ["10", ".rolled-back"])
def test_no_link_is_followed_out_of_the_folder(serving, name):
    elsewhere = serving.parent / "elsewhere"
    if name == "10":
        (serving / name).rename(elsewhere)
    else:
        elsewhere.mkdir()
    (serving / name).symlink_to(elsewhere)
    before = contents(serving.parent)
    done = roll_back("--model", serving)
    assert done.exit_code == 1
    assert f"{name} is a link to {elsewhere}" in " ".join(done.output.split())
    assert contents(serving.parent) == before
