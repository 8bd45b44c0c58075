"""What is read of runs that TFX has recorded."""

import sqlite3

import pytest

from diptych.pipeline.runs.records import RunRecord, find_run, read_run, read_runs
from diptych.schemas.errors import ConfigError


def states(run):
    return {step.name: step.state for step in run.steps}


def test_runs_are_read_in_the_order_in_which_they_were_started_but_those_of_tune(toy_root):
    found = [(run.name, run.pipeline) for run in read_runs(toy_root)]
    assert found == [
        ("2026-11-01_010000", "toy"),
        ("2026-11-01_020000", "toy"),
        ("2026-11-02_010000", "other"),
        ("2026-11-02_020000", "toy"),
        ("2026-11-02_030000", "toy"),
        ("2026-11-04_010000", "toy"),
        ("2026-11-05_010000", "toy"),
    ]
    assert read_run(toy_root, "tune-2026-11-03_010000-1").pipeline == "toy"


def test_each_step_of_a_run_has_its_own_state(toy_root):
    ran, cached, other, failed, interrupted, *_ = read_runs(toy_root)
    steps = ["ExampleGen", "PairGen", "Trainer", "Evaluator", "Pusher"]
    assert states(ran) == dict.fromkeys(steps, "ran") == states(other)
    assert states(cached) == dict.fromkeys(steps, "cached")
    assert list(states(ran)) == steps
    before = {"ExampleGen": "cached", "PairGen": "cached"}
    assert states(failed) == {**before, "Trainer": "failed"}
    assert states(interrupted) == {**before, "Trainer": "running"}
    assert [run.unchanged for run in (ran, cached, failed)] == [False, True, False]


def test_a_cached_step_has_the_outputs_of_the_one_that_ran(toy_root):
    ran, cached, other, *_ = read_runs(toy_root)
    model = ran.output("Trainer", "model")
    assert model.type == "Model"
    assert model.path.is_dir()
    assert cached.output("Trainer", "model") == model
    assert other.output("Trainer", "model") != model
    assert cached.output("Trainer", "nothing") is None
    assert cached.step("Evaluator").inputs["model"] == (model,)
    assert ran.output("ExampleGen", "rejected").properties["num_read"] == 40


def test_a_step_that_did_not_end_has_given_nothing(toy_root):
    _, _, _, failed, interrupted, *_ = read_runs(toy_root)
    for run in (failed, interrupted):
        assert run.output("Trainer", "model") is None
        assert run.output("Evaluator", "evaluation") is None
        assert run.step("Evaluator") is None


def test_parameters_are_those_that_the_step_was_given(toy_root):
    run = read_runs(toy_root)[0]
    assert run.step("ExampleGen").parameters["fingerprint"] == "f1"
    assert run.step("Trainer").parameters["train_settings"] == '{"learning_rate": 0.1, "seed": 0}'


def test_one_run_is_read_as_among_all(toy_root):
    assert [read_run(toy_root, run.name) for run in read_runs(toy_root)] == read_runs(toy_root)


def test_the_number_of_queries_grows_by_one_a_run(toy_root, monkeypatch):
    from ml_metadata import metadata_store

    called = []
    call = metadata_store.MetadataStore._call

    def counted(self, method, *rest):
        called.append(method)
        return call(self, method, *rest)

    monkeypatch.setattr(metadata_store.MetadataStore, "_call", counted)
    read_run(toy_root, "2026-11-01_010000")
    for_one = len(called)
    called.clear()
    read_runs(toy_root)
    assert len(called) <= for_one + 6 + 7  # six more runs; the other pipeline, and its six steps


@pytest.fixture
def runs():
    names = ("2026-11-01_010000", "2026-11-01_010000-1", "2026-11-02_010000")
    return [RunRecord(name, "toy", ()) for name in names]


def test_a_run_is_found_by_its_name_its_beginning_or_as_the_latest(runs):
    assert find_run(runs, "2026-11-02").name == "2026-11-02_010000"
    assert find_run(runs, "latest").name == "2026-11-02_010000"
    assert find_run(runs, "2026-11-01_010000").name == "2026-11-01_010000"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("2026-11-01", "2 runs begin with '2026-11-01'. The last: 2026-11-01_010000, "),
        ("yesterday", "no run begins with 'yesterday'. The last: 2026-11-01_010000, "),
    ],
)
def test_a_name_of_none_or_of_several_is_told_so(runs, name, words):
    with pytest.raises(ConfigError, match=words):
        find_run(runs, name)


def test_of_no_runs_none_is_found():
    with pytest.raises(ConfigError, match="no runs yet"):
        find_run([], "latest")


def test_a_folder_without_a_database_is_no_root(tmp_path):
    with pytest.raises(ConfigError, match=r"is no root of runs: it has no metadata.sqlite"):
        read_runs(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_database_and_one_of_another_program_are_named(tmp_path, toy_root):
    file = tmp_path / "metadata.sqlite"
    content = (toy_root / "metadata.sqlite").read_bytes()
    file.write_bytes(content[: len(content) // 3])
    with pytest.raises(ConfigError, match="cannot be read: it is damaged, or not of ML Metadata"):
        read_runs(tmp_path)
    file.write_bytes(b"hello " * 1000)
    with pytest.raises(ConfigError, match="file is not a database"):
        read_runs(tmp_path)
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE notes (text)")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_runs(tmp_path)
