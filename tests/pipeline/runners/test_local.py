"""A run that was broken off, and gone on with under its name."""

import contextlib

import pytest
from toy_runs import run_toy

from diptych.pipeline.runs.outcome import state_of
from diptych.pipeline.runs.records import read_run, read_runs
from diptych.pipeline.workspace import run_folder

STEPS = ["ExampleGen", "PairGen", "Trainer", "Evaluator", "Pusher"]


@pytest.fixture(scope="module", params=["failed", "interrupted"])
def gone_on_with(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    with contextlib.suppress(ValueError, KeyboardInterrupt):
        run_toy(root, "night-2026-11-21", end=request.param)
    for folder in root.glob("artifacts/Trainer/*/*"):  # TFX has removed those of one that failed
        (folder / "half").touch()
    return root, run_toy(root, "night-2026-11-21")


def test_what_it_has_done_is_not_launched_again(gone_on_with):
    assert gone_on_with[1] == ["Trainer", "Evaluator", "Pusher"]


def test_nothing_is_left_of_the_step_that_was_broken_off(gone_on_with):
    root, _ = gone_on_with
    model = read_run(root, "night-2026-11-21").output("Trainer", "model")
    assert [path.name for path in model.path.iterdir()] == ["left_by_"]


def test_it_is_one_run_that_has_come_to_its_end(gone_on_with):
    root, _ = gone_on_with
    (run,) = read_runs(root)
    assert [step.name for step in run.steps] == STEPS
    assert {step.state for step in run.steps} == {"ran"}
    assert state_of(run, run_folder(root, run.name)) == "done"
    assert run.output("Pusher", "pushed_model").properties["pushed"] == 1
    assert run.step("Evaluator").inputs["model"] == run.step("Trainer").outputs["model"]


def test_a_run_that_has_come_to_its_end_launches_nothing(gone_on_with):
    root, _ = gone_on_with
    assert run_toy(root, "night-2026-11-21") == []
    assert run_toy(root, "night-2026-11-21", last="PairGen") == []


def test_steps_one_by_one_make_the_run_that_they_make_at_once(tmp_path):
    launched = [run_toy(tmp_path, "night", last=step) for step in STEPS]
    assert launched == [[step] for step in STEPS]
    (run,) = read_runs(tmp_path)
    assert [step.state for step in run.steps] == ["ran"] * 5
    assert run_toy(tmp_path, "again") == STEPS
    assert read_run(tmp_path, "again").unchanged
