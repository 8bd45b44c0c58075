import dataclasses
import datetime
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given

from diptych.pipeline.nightly.retention import plan_retention
from diptych.pipeline.runs.records import ArtifactRecord, RunRecord, StepRecord


def run(number, *, uses=(), makes=(), blessed=False, version=None, pipeline="birds"):
    """Build a record of a run with three steps; artifacts are numbers."""

    def artifact(number, **properties):
        return ArtifactRecord(number, "Model", Path("/a") / str(number), properties)

    def step(name, inputs, outputs):
        started = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        started += datetime.timedelta(days=number)
        return StepRecord(number, name, "ran", started, 1.0, {}, inputs, outputs)

    evaluation = artifact(1000 + number, blessed=int(blessed))
    pushed = {"pushed": int(version is not None), "pushed_destination": f"/s/{version}"}
    steps = (
        step("Trainer", {"in": tuple(map(artifact, uses))}, {"out": tuple(map(artifact, makes))}),
        step("Evaluator", {}, {"evaluation": (evaluation,)}),
        step("Pusher", {}, {"pushed_model": (artifact(2000 + number, **pushed),)}),
    )
    return RunRecord(f"night-{number}", pipeline, steps)


def names(runs):
    return [each.name for each in runs]


ARTIFACTS = st.lists(st.integers(0, 9), max_size=4)
RUNS = st.lists(
    st.fixed_dictionaries(
        {
            "uses": ARTIFACTS,
            "makes": ARTIFACTS,
            "blessed": st.booleans(),
            "pipeline": st.sampled_from(["birds", "birds", "faces"]),
        }
    ),
    max_size=9,
).map(lambda settings: [run(number, **each) for number, each in enumerate(settings)])


@given(runs=RUNS, keep=st.integers(1, 5))
def test_pruned_artifacts_are_those_that_no_kept_run_wrote_or_read(runs, keep):
    plan = plan_retention(runs, "birds", keep, None)
    needed = {artifact.id for each in plan.kept for artifact in each.artifacts}
    everything = {artifact.id for each in runs for artifact in each.artifacts}
    assert {artifact.id for artifact in plan.artifacts} == everything - needed
    assert sorted(names(plan.pruned) + names(plan.kept)) == sorted(names(runs))


@given(runs=RUNS, keep=st.integers(1, 5))
def test_the_newest_runs_the_last_blessed_run_and_other_pipelines_are_kept(runs, keep):
    own = [each for each in runs if each.pipeline == "birds"]
    expected = set(names(own[-keep:])) | {each.name for each in runs if each.pipeline == "faces"}
    for each in own:  # the last one wins
        if each.output("Evaluator", "evaluation").properties["blessed"]:
            last = each.name
    blessed = [each for each in own if each.output("Evaluator", "evaluation").properties["blessed"]]
    if blessed:
        expected.add(last)
    assert set(names(plan_retention(runs, "birds", keep, None).kept)) == expected


def test_the_run_of_the_version_in_production_is_kept_with_its_version():
    runs = [
        run(1, blessed=True, version=11, makes=[1]),
        run(2, blessed=True, version=12, makes=[2]),  # blessed last, and rolled back
        run(3, makes=[3]),
        run(4, makes=[4]),
    ]
    plan = plan_retention(runs, "birds", 1, "11")
    assert names(plan.pruned) == ["night-3"]
    assert plan.protected_versions == {"11", "12"}
    assert [artifact.id for artifact in plan.artifacts] == [3, 1003, 2003]
    assert names(plan_retention(runs, "birds", 1, "12").pruned) == ["night-1", "night-3"]


def test_an_artifact_that_a_newer_run_took_from_the_cache_is_kept():
    runs = [run(1, makes=[1, 2]), run(2, uses=[1], makes=[3])]
    plan = plan_retention(runs, "birds", 1, None)
    assert [artifact.id for artifact in plan.artifacts] == [2, 1001, 2001]


def test_files_without_a_record_are_kept_since_the_start_of_the_oldest_newest_run():
    runs = [run(number, blessed=number == 1) for number in range(1, 6)]
    assert plan_retention(runs, "birds", 2, None).keep_since == runs[3].steps[0].started
    assert plan_retention(runs, "birds", 5, None).keep_since is None
    assert plan_retention([], "birds", 5, None).keep_since is None


def test_the_records_of_kept_runs_are_unchanged():
    runs = [run(1), run(2)]
    assert plan_retention(runs, "birds", 2, None).kept == tuple(map(dataclasses.replace, runs))
