"""``diptych rollback``."""

import pytest
from click.testing import CliRunner
from made_versions import make_version

from diptych.cli.main import main
from diptych.pipeline.lock import only_one
from diptych.pipeline.runs.outcome import outcome
from diptych.pipeline.runs.records import read_runs
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.versions import newest, rolled_back


@pytest.fixture
def serving(tmp_path):
    for number, accuracy in ((7, 0.5), (8, 0.98), (10, 0.9)):
        make_version(tmp_path / "serving", number, accuracy=accuracy)
    return tmp_path / "serving"


def roll_back(*arguments):
    return CliRunner().invoke(main, ["rollback", *map(str, arguments)])


def contents(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def test_the_version_before_is_in_production_and_the_newest_is_kept_whole(serving):
    done = roll_back("--model", serving)
    assert done.exit_code == 0
    assert newest(serving) == serving / "8"
    (kept,) = rolled_back(serving)
    assert kept == serving / ".rolled-back" / "10"
    ModelManifest.read(kept).check(kept)
    lines = [line.split("  ")[0] for line in done.output.splitlines()]
    assert lines == ["Rolled back", "In production", "Kept"]
    former, current, place = done.output.splitlines()
    assert "birds, version 10 of 2026-11-21T02:10:00+00:00, accuracy 0.9" in former
    assert "version 8 of" in current and "accuracy 0.98" in current
    assert place.endswith(str(kept))


def test_each_rollback_goes_one_version_back_until_one_is_left(serving):
    assert roll_back("--model", serving).exit_code == 0
    assert roll_back("--model", serving).exit_code == 0
    assert newest(serving) == serving / "7"
    assert [path.name for path in rolled_back(serving)] == ["8", "10"]
    before = contents(serving)
    done = roll_back("--model", serving)
    assert done.exit_code == 1
    assert f"a version before the newest is needed, and {serving} has only version 7" in done.output
    assert contents(serving) == before


def damaged(serving):
    (serving / "8" / "saved_model.pb").write_bytes(b"other")


def taken(serving):
    make_version(serving / ".rolled-back", 10)


def empty(serving):
    for version in serving.iterdir():
        version.rename(serving.parent / version.name)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (damaged, "is not as it was pushed: saved_model.pb has changed"),
        (taken, "cannot be moved"),
        (empty, "has none"),
    ],
)
def test_where_it_cannot_be_nothing_changes_and_it_says_why_in_a_line(serving, spoil, words):
    spoil(serving)
    before = contents(serving)
    done = roll_back("--model", serving)
    assert done.exit_code == 1
    assert words in done.output
    assert done.output.startswith("Error: ") and done.output.count("\n") == 1
    assert contents(serving) == before


def test_a_damaged_newest_can_be_rolled_back(serving):
    (serving / "10" / "saved_model.pb").write_bytes(b"other")
    assert roll_back("--model", serving).exit_code == 0
    assert newest(serving) == serving / "8"


@pytest.fixture
def root(tmp_path):
    """Of two runs, that have pushed a version each."""
    from toy_runs import run_toy

    run_toy(tmp_path / "root", "2026-11-01_010000")
    run_toy(tmp_path / "root", "2026-11-02_010000", learning_rate=0.2)
    serving = tmp_path / "root" / "serving"
    for version in serving.iterdir():
        version.rename(tmp_path / version.name)
        make_version(serving, int(version.name))
    return tmp_path / "root"


def test_of_a_root_it_is_the_version_that_its_last_run_has_pushed(root, monkeypatch):
    from diptych.cli.run_table import runs_table

    monkeypatch.chdir(root.parent)
    first, second = sorted(path.name for path in (root / "serving").iterdir())
    with only_one(root):
        done = roll_back("--root", root)
        assert done.exit_code == 1
        assert "is in use by" in done.output
        assert newest(root / "serving").name == second
    assert roll_back().exit_code == 0
    assert newest(root / "serving").name == first
    outcomes = [outcome(run, root) for run in read_runs(root)]
    assert list(runs_table(outcomes).columns[-1].cells) == [f"{first} *", f"{second} rolled back"]
    assert [each.as_json()["rolled_back"] for each in outcomes] == [False, True]
    assert [each.as_json()["model_there"] for each in outcomes] == [True, False]


def test_a_root_and_a_folder_at_once_are_too_much(serving):
    assert roll_back("--root", serving, "--model", serving).exit_code == 2
