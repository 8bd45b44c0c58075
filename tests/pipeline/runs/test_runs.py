"""``diptych runs`` on runs recorded by TFX."""

import json

import pytest
from click.testing import CliRunner

from diptych.cli.main import main
from diptych.cli.run_table import format_duration, format_percent
from diptych.pipeline.workspace import mark_running
from diptych.schemas.evaluation import Estimate


@pytest.fixture
def runs(toy_root):
    def call(*arguments):
        result = CliRunner().invoke(main, ["runs", "--root", str(toy_root), *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    return call


@pytest.fixture
def versions(toy_root):
    """Versions of the pushed models, the newest last."""
    return sorted(path.name for path in (toy_root / "serving").iterdir())


def rows(text):
    """Cells of the table rows."""
    lines = [line for line in text.splitlines() if line.startswith("2026")]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


def test_each_run_has_a_row_with_state_metrics_and_version(runs, versions):
    first, *_, last = versions
    *cells, model = rows(runs("--pipeline", "toy"))[0]
    assert cells[:3] == ["2026-11-01_010000", "done", "5 ran, 0 cached"]
    assert cells[4:] == ["90.0 (89.0-91.0)", "0.950"]
    assert model == first
    table = {name: cells for name, *cells in rows(runs("--pipeline", "toy"))}
    assert table["2026-11-01_020000"][:2] == ["unchanged", "0 ran, 5 cached"]
    assert table["2026-11-01_020000"][-1] == first
    assert table["2026-11-02_020000"][:2] == ["failed", "at Trainer"]
    assert table["2026-11-02_020000"][3:] == ["-", "-", "-"]
    assert table["2026-11-02_030000"][:3] == ["interrupted", "at Trainer", "-"]
    assert table["2026-11-04_010000"][-3:] == ["70.0 (69.0-71.0)", "0.950", "not blessed"]
    assert table["2026-11-05_010000"][-1] == f"{last} *"


def test_each_pipeline_has_a_table(runs, toy_root):
    heads = [line for line in runs().splitlines() if "  root " in line]
    assert heads == [f"other  root {toy_root}", f"toy  root {toy_root}"]
    assert [name for name, *_ in rows(runs("--pipeline", "other"))] == ["2026-11-02_010000"]


def test_a_row_fits_in_100_columns(runs):
    lines = [line.rstrip() for line in runs().splitlines() if "root" not in line]
    assert max(map(len, lines)) <= 100


def test_a_limit_shows_the_newest_runs_and_the_total(runs):
    text = runs("--limit", "2")
    assert [name for name, *_ in rows(text)] == ["2026-11-04_010000", "2026-11-05_010000"]
    assert "2 of 7 runs, --limit shows more" in text
    assert "--limit" not in runs()


def test_a_deleted_version_is_marked(runs, toy_root, versions):
    last, hidden = (toy_root / "serving" / name for name in (versions[-1], ".hidden"))
    last.rename(hidden)
    try:
        table = {name: cells for name, *cells in rows(runs())}
        assert table["2026-11-05_010000"][-1] == f"{versions[-1]} deleted"
        assert table["2026-11-02_010000"][-1] == f"{versions[-2]} *"
    finally:
        hidden.rename(last)


def test_a_running_run_is_marked(runs, toy_root):
    folder = toy_root / "runs" / "2026-11-02_030000"
    folder.mkdir(parents=True)
    with mark_running(folder):
        table = {name: cells for name, *cells in rows(runs())}
    assert table["2026-11-02_030000"][:2] == ["running", "at Trainer"]


def test_json_contains_the_values_of_the_table(runs, toy_root, versions):
    outcomes = {each["run"]: each for each in json.loads(runs("--json"))}
    assert len(outcomes) == 7
    first = outcomes["2026-11-01_010000"]
    assert first["accuracy"] == {"value": 0.9, "low": 0.89, "high": 0.91}
    assert first["roc_auc"]["value"] == 0.95
    assert (first["state"], first["blessed"], first["version"]) == ("done", True, versions[0])
    assert (first["model_exists"], first["in_production"]) == (True, False)
    assert outcomes["2026-11-05_010000"]["in_production"]
    failed = outcomes["2026-11-02_020000"]
    assert (failed["state"], failed["last_step"]) == ("failed", "Trainer")
    assert (failed["accuracy"], failed["blessed"], failed["version"]) == (None, None, None)


def test_metrics_come_from_ml_metadata_if_the_files_are_missing(runs, toy_root):
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
    ("arguments", "message"),
    [
        (["runs", "--root", "nowhere"], "is not a pipeline root: it has no metadata.sqlite"),
        (["runs"], "No pipeline root in"),
        (["compare-runs", "latest", "latest"], "No pipeline root in"),
        (["report"], "No pipeline root in"),
    ],
)
def test_a_missing_root_is_an_error_of_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert message in result.output
    assert result.output.count("\n") == 1


def test_durations_and_percentages_are_short():
    assert [format_duration(seconds) for seconds in (0.4, 59.6, 112, 7805)] == [
        *("0:00", "1:00", "1:52", "2:10:05")
    ]
    assert format_percent(Estimate(value=0.98765, low=0.9, high=1.0)) == "98.8 (90.0-100.0)"
    assert format_percent(Estimate(value=0.5)) == "50.0"
    assert format_percent(Estimate(value=None)) == "-"
