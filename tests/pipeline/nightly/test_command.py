"""Consecutive nights of the toy pipeline: new, complete, failed, interrupted, locked."""

import json
import shutil
from pathlib import Path

import pytest

from diptych.pipeline.lock import lock_root
from diptych.pipeline.nightly.night import newest_night
from diptych.pipeline.runs.records import read_runs


def states(root):
    return {path.stem: json.loads(path.read_text())["outcome"] for path in root.glob("nights/*")}


def history(root):
    return [json.loads(line) for line in (root / "nights.jsonl").read_text().splitlines()]


def steps_of(shown):
    return [
        line.split()[0] for line in shown.splitlines() if line.startswith("  ") and " s" in line
    ]


def test_a_night_pushes_and_the_next_one_has_nothing_new(folder, toy, run_night):
    code, summary, shown = run_night()
    root, name = folder / "root", summary["run"]
    assert (code, summary["exit_code"], summary["outcome"]) == (0, 0, "pushed")
    assert summary["metrics"]["accuracy"] == 0.9
    assert summary["metrics"]["rejected"] == 3 / 40
    assert Path(summary["log"]).is_file()
    assert (root / "serving" / summary["version"]).is_dir()
    assert "Pusher" in shown
    assert json.loads((root / "nights" / f"{name}.json").read_text()) == summary

    code, again, shown = run_night()
    assert (code, again["outcome"], again["run"]) == (0, "nothing new", name)
    assert shown.startswith(f"No changes since {name}")
    assert [run.name for run in read_runs(root)] == [name]
    assert states(root) == {name: "pushed"}
    assert [line["outcome"] for line in history(root)] == ["pushed", "nothing new"]


def test_changed_data_settings_or_code_start_a_new_night(folder, toy, run_night, monkeypatch):
    name = run_night()[1]["run"]
    (folder / "data.csv").write_text("label,a\nx,1\ny,2\nz,3\n")
    assert run_night()[1]["run"] == f"{name}-2"
    assert run_night("train.epochs=3")[1]["run"] == f"{name}-3"
    monkeypatch.setattr(
        "diptych.pipeline.nightly.planning.code_of_pipeline", lambda config: "other"
    )
    assert run_night("train.epochs=3")[1]["run"] == f"{name}-4"
    assert run_night("train.epochs=3", "nightly.keep_runs=3")[1]["outcome"] == "nothing new"
    assert run_night()[1]["run"] == f"{name}-5"  # the settings of the first, but not the last
    assert len(read_runs(folder / "root")) == 5


def test_a_model_that_is_not_blessed_has_exit_code_3_and_completes_the_night(
    folder, toy, run_night
):
    toy["accuracy"] = 0.7
    code, summary, _ = run_night()
    assert (code, summary["outcome"], summary["version"]) == (3, "not blessed", None)
    assert "does not meet the requirement" in summary["metrics"]["verdict"]
    assert run_night()[1]["outcome"] == "nothing new"


@pytest.mark.parametrize("end", ["failed", "interrupted"])
def test_a_failed_or_interrupted_night_is_resumed(folder, toy, run_night, end):
    toy["end"] = end
    code, failed, shown = run_night()
    message = {"failed": "ValueError: no luck", "interrupted": "Interrupted."}[end]
    assert (code, failed["outcome"]) == (1, "failed")
    assert failed["error"].startswith(message)
    assert "Traceback" not in shown
    toy["end"] = ""
    code, ended, shown = run_night()
    assert (code, ended["outcome"], ended["run"], ended["calls"]) == (0, "pushed", failed["run"], 2)
    assert ended["started"] == failed["started"]
    assert ended["error"] is None
    assert steps_of(shown) == ["Preparation", "Trainer", "Evaluator", "Pusher", "Report"]
    assert len(read_runs(folder / "root")) == 1


def test_the_file_of_a_killed_night_has_the_state_running_and_the_night_is_resumed(
    folder, toy, run_night
):
    toy["end"] = "interrupted"
    run_night()
    root = folder / "root"
    # As after SIGKILL: no process could record how it ended.
    newest_night(root, "toy").model_copy(update={"outcome": "running", "ended": None}).write(root)
    toy["end"] = ""
    code, ended, shown = run_night()
    assert (code, ended["outcome"]) == (0, "pushed")
    assert f"resuming {ended['run']}" in shown


def test_a_new_night_starts_if_the_version_at_the_start_was_rolled_back(folder, toy, run_night):
    version = Path(run_night()[1]["production"]) / run_night()[1]["version"]
    toy["end"] = "failed"
    failed = run_night("train.epochs=3")[1]
    assert failed["production"] == str(version)
    version.rename(version.with_name(".rolled-back"))
    toy["end"] = ""
    ended = run_night("train.epochs=3")[1]
    assert ended["run"] != failed["run"]
    assert ended["production"] == str(version.parent)


def test_a_model_that_was_not_blessed_is_compared_again_after_a_rollback(folder, toy, run_night):
    version = Path(run_night()[1]["production"]) / run_night()[1]["version"]
    toy["accuracy"] = 0.7
    assert run_night("train.epochs=3")[1]["outcome"] == "not blessed"
    assert run_night("train.epochs=3")[1]["outcome"] == "nothing new"
    version.rename(version.with_name(".rolled-back"))
    assert run_night("train.epochs=3")[1]["outcome"] == "not blessed"
    assert run_night("train.epochs=3")[1]["outcome"] == "nothing new"


def test_changed_corrections_start_a_new_night(folder, toy, run_night):
    (folder / "c.csv").write_text("source,label\n")
    corrections = f"data.corrections={folder}/c.csv"
    name = run_night(corrections)[1]["run"]
    assert run_night(corrections)[1]["outcome"] == "nothing new"
    (folder / "c.csv").write_text("source,label\ndata.csv:2,y\n")
    assert run_night(corrections)[1]["run"] == f"{name}-2"


def test_a_night_is_named_after_its_newest_span(folder, toy, run_night):
    def span(name):
        (folder / name).mkdir()
        shutil.copy(folder / "data.csv", folder / name / "data.csv")

    spans = f"data.path={folder}/span-{{YYYY}}-{{MM}}-{{DD}}/v{{VERSION}}"
    (folder / "span-2026-11-20").mkdir()
    (folder / "span-2026-11-21").mkdir()
    span("span-2026-11-20/v1")
    span("span-2026-11-21/v1")
    summary = run_night(spans)[1]
    assert (summary["run"], summary["span"]) == ("night-2026-11-21", "2026-11-21")
    assert run_night(spans)[1]["outcome"] == "nothing new"
    span("span-2026-11-21/v2")
    assert run_night(spans)[1]["run"] == "night-2026-11-21-2"
    (folder / "span-2026-11-22" / "v1").mkdir(parents=True)
    code, summary, _ = run_night(spans)
    assert (code, summary["run"], summary["outcome"]) == (1, "night-2026-11-22", "failed")
    assert "The newest span, 2026-11-22, has no usable files" in summary["error"]


def test_two_pipelines_in_a_root_have_separate_nights(folder, toy, run_night):
    name = run_night()[1]["run"]
    toy["pipeline"] = "other"
    assert run_night("name=other")[1]["run"] == f"{name}-2"
    assert run_night("name=other")[1]["outcome"] == "nothing new"
    assert run_night()[1]["outcome"] == "nothing new"


def test_a_name_that_is_only_in_ml_metadata_is_not_reused(folder, toy, run_night):
    name = run_night()[1]["run"]
    shutil.rmtree(folder / "root" / "runs")
    shutil.rmtree(folder / "root" / "nights")
    assert run_night()[1]["run"] == f"{name}-2"


def test_a_night_runs_with_a_database_without_tables(folder, toy, run_night):
    (folder / "root").mkdir()
    (folder / "root" / "metadata.sqlite").touch()
    assert run_night()[1]["outcome"] == "pushed"


def test_a_root_that_is_not_writable_fails_with_one_line(folder, toy, run_night):
    (folder / "root").mkdir()
    (folder / "root" / "nights").touch()
    code, summary, shown = run_night()
    assert (code, summary["outcome"]) == (1, "failed")
    assert shown.startswith("Error: ")
    assert str(folder / "root" / "nights") in summary["error"]


def test_until_continues_one_night_and_reports_only_its_end_and_failures(folder, toy, run_night):
    def part(step):
        code, summary, _ = run_night(until=step)
        return code, summary["exit_code"], summary["outcome"]

    root = folder / "root"
    for step in ("ExampleGen", "PairGen", "PairGen"):
        assert part(step) == (0, 0, "running")
    assert not (root / "nights.jsonl").exists()
    toy["end"] = "failed"
    assert part("Trainer") == (1, 1, "failed")
    toy["end"] = ""
    assert part("Trainer") == (0, 0, "running")
    code, ended, shown = run_night()
    assert (code, ended["outcome"], ended["calls"]) == (0, "pushed", 6)
    assert steps_of(shown) == ["Preparation", "Evaluator", "Pusher", "Report"]
    assert part("ExampleGen") == (0, 0, "nothing new")
    assert [line["outcome"] for line in history(root)] == ["failed", "pushed"]
    assert len(read_runs(root)) == 1


def test_an_unknown_step_is_an_error_that_lists_the_steps(toy, run_night):
    code, summary, shown = run_night(until="Train")
    assert (code, summary["outcome"]) == (1, "failed")
    assert "no step 'Train'" in summary["error"]
    assert "Its steps: ExampleGen, PairGen, Trainer, Evaluator, Pusher." in shown


def test_a_locked_root_has_exit_code_4_and_stays_unchanged(folder, toy, run_night):
    run_night()
    with lock_root(folder / "root") as set_holder:
        set_holder("the run of another")
        code, summary, shown = run_night("train.epochs=3")
    assert (code, summary["outcome"], summary["pipeline"]) == (4, "busy", "toy")
    assert "in use by the run of another" in summary["error"]
    assert summary["error"] in shown
    assert len(history(folder / "root")) == len(states(folder / "root")) == 1


def test_missing_data_fail_the_night_and_are_reported(folder, toy, run_night):
    (folder / "data.csv").rename(folder / "away.csv")
    code, summary, _ = run_night()
    assert (code, summary["outcome"], summary["fingerprint"]) == (1, "failed", None)
    assert "data.path does not exist" in summary["error"]
    assert history(folder / "root") == [summary]
    (folder / "away.csv").rename(folder / "data.csv")
    assert run_night()[1]["outcome"] == "pushed"


def test_an_invalid_configuration_also_prints_a_summary(folder, run_night):
    code, summary, shown = run_night("train.epochs=none")
    assert (code, summary["outcome"], summary["pipeline"]) == (1, "failed", "")
    assert "train.epochs" in summary["error"]
    assert not (folder / "root").exists()
    assert shown.startswith("Error: ")


@pytest.mark.parametrize("end", ["failed without folders", "failed without metadata"])
def test_the_error_of_a_step_wins_over_that_of_the_cleanup(folder, toy, run_night, end):
    toy["end"] = end
    code, summary, shown = run_night()
    assert (code, summary["error"]) == (1, "ValueError: no luck")
    assert "The cleanup failed as well" in Path(summary["log"]).read_text()
    assert "Traceback" not in shown


def test_the_error_of_a_step_remains_if_the_night_cannot_be_recorded(folder, toy, run_night):
    toy["end"] = "failed"
    (folder / "root" / "nights.jsonl").mkdir(parents=True)
    code, summary, shown = run_night()
    assert (code, summary["outcome"]) == (1, "failed")
    step, _, record = summary["error"].partition(". Then its record could not be written: ")
    assert step == "ValueError: no luck"
    assert "Is a directory" in record
    assert "Traceback" not in shown
