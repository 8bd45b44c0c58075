"""The local runner: resume an interrupted run under its name."""

import contextlib

import pytest
from toy_runs import run_toy

from diptych.pipeline.runs.outcome import read_run_state
from diptych.pipeline.runs.records import read_run, read_runs
from diptych.pipeline.workspace import run_folder

STEPS = ["ExampleGen", "PairGen", "Trainer", "Evaluator", "Pusher"]


@pytest.fixture(scope="module", params=["failed", "interrupted"])
def resumed(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    with contextlib.suppress(ValueError, KeyboardInterrupt):
        run_toy(root, "night-2026-11-21", end=request.param)
    for folder in root.glob("artifacts/Trainer/*/*"):  # TFX deletes those of a failed step
        (folder / "partial").touch()
    return root, run_toy(root, "night-2026-11-21")


@pytest.mark.parametrize("end", ["failed without folders", "failed without metadata"])
def test_an_error_of_the_cleanup_does_not_replace_that_of_the_step(tmp_path, end):
    with pytest.raises(ValueError, match="no luck") as raised:
        run_toy(tmp_path, "night-2026-11-21", end=end)
    (note,) = raised.value.__notes__
    assert note.startswith("The cleanup failed as well: ")


def test_complete_steps_are_not_launched_again(resumed):
    assert resumed[1] == ["Trainer", "Evaluator", "Pusher"]


def test_partial_outputs_of_the_interrupted_step_are_deleted(resumed):
    root, _ = resumed
    model = read_run(root, "night-2026-11-21").output("Trainer", "model")
    assert [path.name for path in model.path.iterdir()] == ["left_by_"]


def test_a_resumed_run_is_one_complete_run(resumed):
    root, _ = resumed
    (run,) = read_runs(root)
    assert [step.name for step in run.steps] == STEPS
    assert {step.state for step in run.steps} == {"ran"}
    assert read_run_state(run, run_folder(root, run.name)) == "done"
    assert run.output("Pusher", "pushed_model").properties["pushed"] == 1
    assert run.step("Evaluator").inputs["model"] == run.step("Trainer").outputs["model"]


def test_a_complete_run_launches_nothing(resumed):
    root, _ = resumed
    assert run_toy(root, "night-2026-11-21") == []
    assert run_toy(root, "night-2026-11-21", last="PairGen") == []


def test_steps_launched_one_by_one_form_one_run(tmp_path):
    launched = [run_toy(tmp_path, "night", last=step) for step in STEPS]
    assert launched == [[step] for step in STEPS]
    (run,) = read_runs(tmp_path)
    assert [step.state for step in run.steps] == ["ran"] * 5
    assert run_toy(tmp_path, "again") == STEPS
    assert read_run(tmp_path, "again").unchanged
