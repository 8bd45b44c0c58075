import dataclasses
import datetime
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given

from diptych.pipeline.nightly.retention import decide
from diptych.pipeline.runs.records import ArtifactRecord, RunRecord, StepRecord


def run(number, *, uses=(), makes=(), blessed=False, version=None, pipeline="birds"):
    """A run of three steps; artifacts are numbers."""

    def artifact(number, **properties):
        return ArtifactRecord(number, "Model", Path("/a") / str(number), properties)

    def step(name, inputs, outputs):
        started = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        started += datetime.timedelta(days=number)
        return StepRecord(number, name, "ran", started, 1.0, {}, inputs, outputs)

    judged = artifact(1000 + number, blessed=int(blessed))
    place = {"pushed": int(version is not None), "pushed_destination": f"/s/{version}"}
    steps = (
        step("Trainer", {"in": tuple(map(artifact, uses))}, {"out": tuple(map(artifact, makes))}),
        step("Evaluator", {}, {"evaluation": (judged,)}),
        step("Pusher", {}, {"pushed_model": (artifact(2000 + number, **place),)}),
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
).map(lambda every: [run(number, **each) for number, each in enumerate(every)])


@given(runs=RUNS, keep=st.integers(1, 5))
def test_what_goes_is_what_no_run_that_stays_has_made_or_used(runs, keep):
    kept = decide(runs, "birds", keep, None)
    needed = {artifact.id for each in kept.kept for artifact in each.artifacts}
    everything = {artifact.id for each in runs for artifact in each.artifacts}
    assert {artifact.id for artifact in kept.artifacts} == everything - needed
    assert sorted(names(kept.gone) + names(kept.kept)) == sorted(names(runs))


@given(runs=RUNS, keep=st.integers(1, 5))
def test_the_newest_stay_and_the_one_blessed_last_and_other_pipelines(runs, keep):
    own = [each for each in runs if each.pipeline == "birds"]
    stay = set(names(own[-keep:])) | {each.name for each in runs if each.pipeline == "faces"}
    for each in own:  # the last one stands
        if each.output("Evaluator", "evaluation").properties["blessed"]:
            last = each.name
    blessed = [each for each in own if each.output("Evaluator", "evaluation").properties["blessed"]]
    if blessed:
        stay.add(last)
    assert set(names(decide(runs, "birds", keep, None).kept)) == stay


def test_the_run_that_has_pushed_what_is_in_production_stays_with_its_version():
    runs = [
        run(1, blessed=True, version=11, makes=[1]),
        run(2, blessed=True, version=12, makes=[2]),  # blessed last, and rolled back
        run(3, makes=[3]),
        run(4, makes=[4]),
    ]
    kept = decide(runs, "birds", 1, "11")
    assert names(kept.gone) == ["night-3"]
    assert kept.versions == {"11", "12"}
    assert [artifact.id for artifact in kept.artifacts] == [3, 1003, 2003]
    assert names(decide(runs, "birds", 1, "12").gone) == ["night-1", "night-3"]


def test_an_artifact_that_a_newer_run_took_from_the_cache_stays():
    runs = [run(1, makes=[1, 2]), run(2, uses=[1], makes=[3])]
    kept = decide(runs, "birds", 1, None)
    assert [artifact.id for artifact in kept.artifacts] == [2, 1001, 2001]


def test_the_age_of_what_no_run_has_recorded_is_measured_by_the_oldest_of_the_newest():
    runs = [run(number, blessed=number == 1) for number in range(1, 6)]
    assert decide(runs, "birds", 2, None).since == runs[3].steps[0].started
    assert decide(runs, "birds", 5, None).since is None
    assert decide([], "birds", 5, None).since is None


def test_nothing_is_changed_in_what_is_kept():
    runs = [run(1), run(2)]
    assert decide(runs, "birds", 2, None).kept == tuple(map(dataclasses.replace, runs))
