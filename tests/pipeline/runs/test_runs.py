"""``diptych runs``, on runs that TFX has recorded."""

import json

import pytest
from click.testing import CliRunner

from diptych.cli.main import main
from diptych.cli.run_table import duration, percent
from diptych.pipeline.workspace import alive
from diptych.schemas.evaluation import Estimate


@pytest.fixture
def runs(toy_root):
    def call(*arguments):
        done = CliRunner().invoke(main, ["runs", "--root", str(toy_root), *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    return call


@pytest.fixture
def versions(toy_root):
    """Of the pushed models, the newest last."""
    return sorted(path.name for path in (toy_root / "serving").iterdir())


def rows(text):
    """The columns of the lines of the runs."""
    lines = [line for line in text.splitlines() if line.startswith("2026")]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


def test_a_line_a_run_says_how_it_ended_and_what_it_came_to(runs, versions):
    first, *_, last = versions
    *figures, model = rows(runs("--pipeline", "toy"))[0]
    assert figures[:3] == ["2026-11-01_010000", "done", "5 ran, 0 cached"]
    assert figures[4:] == ["90.0 (89.0-91.0)", "0.950"]
    assert model == first
    table = {name: cells for name, *cells in rows(runs("--pipeline", "toy"))}
    assert table["2026-11-01_020000"][:2] == ["unchanged", "0 ran, 5 cached"]
    assert table["2026-11-01_020000"][-1] == first
    assert table["2026-11-02_020000"][:2] == ["failed", "at Trainer"]
    assert table["2026-11-02_020000"][3:] == ["-", "-", "-"]
    assert table["2026-11-02_030000"][:3] == ["broken off", "at Trainer", "-"]
    assert table["2026-11-04_010000"][-3:] == ["70.0 (69.0-71.0)", "0.950", "not blessed"]
    assert table["2026-11-05_010000"][-1] == f"{last} *"


def test_a_pipeline_has_a_table_of_its_own(runs, toy_root):
    heads = [line for line in runs().splitlines() if "  root " in line]
    assert heads == [f"other  root {toy_root}", f"toy  root {toy_root}"]
    assert [name for name, *_ in rows(runs("--pipeline", "other"))] == ["2026-11-02_010000"]


def test_a_line_fits_in_100_columns(runs):
    lines = [line.rstrip() for line in runs().splitlines() if "root" not in line]
    assert max(map(len, lines)) <= 100


def test_the_newest_are_shown_and_how_many_there_are(runs):
    text = runs("--limit", "2")
    assert [name for name, *_ in rows(text)] == ["2026-11-04_010000", "2026-11-05_010000"]
    assert "2 of 7 runs, --limit shows more" in text
    assert "--limit" not in runs()


def test_a_version_that_is_gone_is_said_to_be(runs, toy_root, versions):
    last, hidden = (toy_root / "serving" / name for name in (versions[-1], ".hidden"))
    last.rename(hidden)
    try:
        table = {name: cells for name, *cells in rows(runs())}
        assert table["2026-11-05_010000"][-1] == f"{versions[-1]} gone"
        assert table["2026-11-02_010000"][-1] == f"{versions[-2]} *"
    finally:
        hidden.rename(last)


def test_a_run_that_is_going_on_is_said_to_be(runs, toy_root):
    folder = toy_root / "runs" / "2026-11-02_030000"
    folder.mkdir(parents=True)
    with alive(folder):
        table = {name: cells for name, *cells in rows(runs())}
    assert table["2026-11-02_030000"][:2] == ["running", "at Trainer"]


def test_json_has_what_the_table_has(runs, toy_root, versions):
    found = {each["run"]: each for each in json.loads(runs("--json"))}
    assert len(found) == 7
    first = found["2026-11-01_010000"]
    assert first["accuracy"] == {"value": 0.9, "low": 0.89, "high": 0.91}
    assert first["roc_auc"]["value"] == 0.95
    assert (first["state"], first["blessed"], first["version"]) == ("done", True, versions[0])
    assert (first["model_there"], first["in_production"]) == (True, False)
    assert found["2026-11-05_010000"]["in_production"]
    failed = found["2026-11-02_020000"]
    assert (failed["state"], failed["last_step"]) == ("failed", "Trainer")
    assert (failed["accuracy"], failed["blessed"], failed["version"]) == (None, None, None)


def test_figures_whose_files_are_gone_are_those_of_ml_metadata(runs, toy_root):
    from diptych.pipeline.runs.records import read_run

    folder = read_run(toy_root, "2026-11-04_010000").output("Evaluator", "evaluation").path
    file, hidden = folder / "evaluation.json", folder / "hidden"
    file.rename(hidden)
    try:
        table = {name: cells for name, *cells in rows(runs())}
    finally:
        hidden.rename(file)
    assert table["2026-11-04_010000"][-3:] == ["70.0", "-", "not blessed"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs", "--root", "nowhere"], "is no root of runs: it has no metadata.sqlite"),
        (["runs"], "There are no runs in"),
        (["compare-runs", "latest", "latest"], "There are no runs in"),
        (["report"], "There are no runs in"),
    ],
)
def test_where_there_are_no_runs_it_says_so_in_a_line(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert words in done.output
    assert done.output.count("\n") == 1


def test_durations_and_percentages_are_short():
    assert [duration(seconds) for seconds in (0.4, 59.6, 112, 7805)] == [
        *("0:00", "1:00", "1:52", "2:10:05")
    ]
    assert percent(Estimate(value=0.98765, low=0.9, high=1.0)) == "98.8 (90.0-100.0)"
    assert percent(Estimate(value=0.5)) == "50.0"
    assert percent(Estimate(value=None)) == "-"
