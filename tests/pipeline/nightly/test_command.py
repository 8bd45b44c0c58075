"""Nights one after the other, on the toy pipeline: new, done, failed, broken off, taken."""

import json
import shutil
from pathlib import Path

import pytest

from diptych.pipeline.lock import only_one
from diptych.pipeline.nightly.night import newest_night
from diptych.pipeline.runs.records import read_runs


def states(root):
    return {path.stem: json.loads(path.read_text())["outcome"] for path in root.glob("nights/*")}


def diary(root):
    return [json.loads(line) for line in (root / "nights.jsonl").read_text().splitlines()]


def steps_of(shown):
    return [
        line.split()[0] for line in shown.splitlines() if line.startswith("  ") and " s" in line
    ]


def test_a_night_pushes_and_the_next_one_has_nothing_to_do(place, toy, run_night):
    code, summary, shown = run_night()
    root, name = place / "root", summary["run"]
    assert (code, summary["exit_code"], summary["outcome"]) == (0, 0, "pushed")
    assert summary["figures"]["accuracy"] == 0.9
    assert summary["figures"]["rejected"] == 3 / 40
    assert Path(summary["log"]).is_file()
    assert (root / "serving" / summary["version"]).is_dir()
    assert "Pusher" in shown
    assert json.loads((root / "nights" / f"{name}.json").read_text()) == summary

    code, again, shown = run_night()
    assert (code, again["outcome"], again["run"]) == (0, "nothing new", name)
    assert shown.startswith(f"Nothing new since {name}")
    assert [run.name for run in read_runs(root)] == [name]
    assert states(root) == {name: "pushed"}
    assert [line["outcome"] for line in diary(root)] == ["pushed", "nothing new"]


def test_other_data_settings_or_code_are_a_night_of_their_own(place, toy, run_night, monkeypatch):
    name = run_night()[1]["run"]
    (place / "data.csv").write_text("label,a\nx,1\ny,2\nz,3\n")
    assert run_night()[1]["run"] == f"{name}-2"
    assert run_night("train.epochs=3")[1]["run"] == f"{name}-3"
    monkeypatch.setattr("diptych.pipeline.nightly.task.code_of_pipeline", lambda config: "other")
    assert run_night("train.epochs=3")[1]["run"] == f"{name}-4"
    assert run_night("train.epochs=3", "nightly.keep_runs=3")[1]["outcome"] == "nothing new"
    assert run_night()[1]["run"] == f"{name}-5"  # the settings of the first, but not the last
    assert len(read_runs(place / "root")) == 5


def test_a_model_that_is_not_better_is_code_3_and_the_night_is_done(place, toy, run_night):
    toy["accuracy"] = 0.7
    code, summary, _ = run_night()
    assert (code, summary["outcome"], summary["version"]) == (3, "not blessed", None)
    assert "is below the bar" in summary["figures"]["verdict"]
    assert run_night()[1]["outcome"] == "nothing new"


@pytest.mark.parametrize("end", ["failed", "interrupted"])
def test_a_night_that_did_not_end_well_is_gone_on_with(place, toy, run_night, end):
    toy["end"] = end
    code, failed, shown = run_night()
    words = {"failed": "ValueError: no luck", "interrupted": "Interrupted."}[end]
    assert (code, failed["outcome"]) == (1, "failed")
    assert failed["error"].startswith(words)
    assert "Traceback" not in shown
    toy["end"] = ""
    code, ended, shown = run_night()
    assert (code, ended["outcome"], ended["run"], ended["calls"]) == (0, "pushed", failed["run"], 2)
    assert ended["started"] == failed["started"]
    assert ended["error"] is None
    assert steps_of(shown) == ["Preparation", "Trainer", "Evaluator", "Pusher", "Report"]
    assert len(read_runs(place / "root")) == 1


def test_a_night_that_was_killed_is_still_running_by_its_file_and_gone_on_with(
    place, toy, run_night
):
    toy["end"] = "interrupted"
    run_night()
    root = place / "root"
    # As SIGKILL leaves it: nobody could write down how it ended.
    newest_night(root, "toy").model_copy(update={"outcome": "running", "ended": None}).write(root)
    toy["end"] = ""
    code, ended, shown = run_night()
    assert (code, ended["outcome"]) == (0, "pushed")
    assert f"going on with {ended['run']}" in shown


def test_a_night_that_lost_the_model_that_it_began_with_is_begun_anew(place, toy, run_night):
    version = Path(run_night()[1]["production"]) / run_night()[1]["version"]
    toy["end"] = "failed"
    failed = run_night("train.epochs=3")[1]
    assert failed["production"] == str(version)
    version.rename(version.with_name(".rolled-back"))
    toy["end"] = ""
    ended = run_night("train.epochs=3")[1]
    assert ended["run"] != failed["run"]
    assert ended["production"] == str(version.parent)


def test_a_night_has_the_name_of_its_newest_span(place, toy, run_night):
    def span(name):
        (place / name).mkdir()
        shutil.copy(place / "data.csv", place / name / "data.csv")

    spans = f"data.path={place}/span-{{YYYY}}-{{MM}}-{{DD}}/v{{VERSION}}"
    (place / "span-2026-11-20").mkdir()
    (place / "span-2026-11-21").mkdir()
    span("span-2026-11-20/v1")
    span("span-2026-11-21/v1")
    summary = run_night(spans)[1]
    assert (summary["run"], summary["span"]) == ("night-2026-11-21", "2026-11-21")
    assert run_night(spans)[1]["outcome"] == "nothing new"
    span("span-2026-11-21/v2")
    assert run_night(spans)[1]["run"] == "night-2026-11-21-2"
    (place / "span-2026-11-22" / "v1").mkdir(parents=True)
    code, summary, _ = run_night(spans)
    assert (code, summary["run"], summary["outcome"]) == (1, "night-2026-11-22", "failed")
    assert "The newest span, 2026-11-22, has nothing in it" in summary["error"]


def test_two_pipelines_in_a_root_have_nights_of_their_own(place, toy, run_night):
    name = run_night()[1]["run"]
    toy["pipeline"] = "other"
    assert run_night("name=other")[1]["run"] == f"{name}-2"
    assert run_night("name=other")[1]["outcome"] == "nothing new"
    assert run_night()[1]["outcome"] == "nothing new"


def test_a_name_that_only_the_database_knows_is_not_given_again(place, toy, run_night):
    name = run_night()[1]["run"]
    shutil.rmtree(place / "root" / "runs")
    shutil.rmtree(place / "root" / "nights")
    assert run_night()[1]["run"] == f"{name}-2"


def test_a_night_that_came_to_no_table_of_the_database_is_gone_on_with(place, toy, run_night):
    (place / "root").mkdir()
    (place / "root" / "metadata.sqlite").touch()
    assert run_night()[1]["outcome"] == "pushed"


def test_a_root_that_cannot_be_written_to_fails_in_a_line(place, toy, run_night):
    (place / "root").mkdir()
    (place / "root" / "nights").touch()
    code, summary, shown = run_night()
    assert (code, summary["outcome"]) == (1, "failed")
    assert shown.startswith("Error: ")
    assert str(place / "root" / "nights") in summary["error"]


def test_step_by_step_is_one_night_of_which_its_end_and_failures_are_told(place, toy, run_night):
    def part(step):
        code, summary, _ = run_night(until=step)
        return code, summary["exit_code"], summary["outcome"]

    root = place / "root"
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
    assert [line["outcome"] for line in diary(root)] == ["failed", "pushed"]
    assert len(read_runs(root)) == 1


def test_a_step_that_is_not_there_is_told_with_those_that_are(toy, run_night):
    code, summary, shown = run_night(until="Train")
    assert (code, summary["outcome"]) == (1, "failed")
    assert "no step 'Train'" in summary["error"]
    assert "The steps: ExampleGen, PairGen, Trainer, Evaluator, Pusher." in shown


def test_a_root_that_is_in_use_is_code_4_and_stays_as_it_is(place, toy, run_night):
    run_night()
    with only_one(place / "root") as tell:
        tell("the run of another")
        code, summary, shown = run_night("train.epochs=3")
    assert (code, summary["outcome"], summary["pipeline"]) == (4, "busy", "toy")
    assert "in use by the run of another" in summary["error"]
    assert summary["error"] in shown
    assert len(diary(place / "root")) == len(states(place / "root")) == 1


def test_data_that_are_not_there_fail_the_night_and_are_told(place, toy, run_night):
    (place / "data.csv").rename(place / "away.csv")
    code, summary, _ = run_night()
    assert (code, summary["outcome"], summary["fingerprint"]) == (1, "failed", None)
    assert "data.path does not exist" in summary["error"]
    assert diary(place / "root") == [summary]
    (place / "away.csv").rename(place / "data.csv")
    assert run_night()[1]["outcome"] == "pushed"


def test_a_configuration_with_a_fault_is_a_summary_too(place, run_night):
    code, summary, shown = run_night("train.epochs=none")
    assert (code, summary["outcome"], summary["pipeline"]) == (1, "failed", "")
    assert "train.epochs" in summary["error"]
    assert not (place / "root").exists()
    assert shown.startswith("Error: ")
