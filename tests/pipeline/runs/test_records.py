"""Run records of runs recorded by TFX."""

import sqlite3

import pytest

from diptych.pipeline.runs.records import RunRecord, find_run, read_run, read_runs
from diptych.schemas.errors import ConfigError


def states(run):
    return {step.name: step.state for step in run.steps}


def test_runs_are_read_in_start_order_without_those_of_tune(toy_root):
    runs = [(run.name, run.pipeline) for run in read_runs(toy_root)]
    assert runs == [
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
    completed = {"ExampleGen": "cached", "PairGen": "cached"}
    assert states(failed) == {**completed, "Trainer": "failed"}
    assert states(interrupted) == {**completed, "Trainer": "running"}
    assert [run.unchanged for run in (ran, cached, failed)] == [False, True, False]


def test_a_cached_step_has_the_outputs_of_the_execution_it_reuses(toy_root):
    ran, cached, other, *_ = read_runs(toy_root)
    model = ran.output("Trainer", "model")
    assert model.type == "Model"
    assert model.path.is_dir()
    assert cached.output("Trainer", "model") == model
    assert other.output("Trainer", "model") != model
    assert cached.output("Trainer", "nothing") is None
    assert cached.step("Evaluator").inputs["model"] == (model,)
    assert ran.output("ExampleGen", "rejected").properties["num_read"] == 40


def test_an_incomplete_step_has_no_outputs(toy_root):
    _, _, _, failed, interrupted, *_ = read_runs(toy_root)
    for run in (failed, interrupted):
        assert run.output("Trainer", "model") is None
        assert run.output("Evaluator", "evaluation") is None
        assert run.step("Evaluator") is None


def test_parameters_of_a_step_are_recorded(toy_root):
    run = read_runs(toy_root)[0]
    assert run.step("ExampleGen").parameters["fingerprint"] == "f1"
    assert run.step("Trainer").parameters["train_settings"] == '{"learning_rate": 0.1, "seed": 0}'


def test_read_run_equals_the_record_in_read_runs(toy_root):
    assert [read_run(toy_root, run.name) for run in read_runs(toy_root)] == read_runs(toy_root)


def test_each_run_adds_one_query(toy_root, monkeypatch):
    from ml_metadata import metadata_store

    queries = []
    call = metadata_store.MetadataStore._call

    def counted(self, method, *rest):
        queries.append(method)
        return call(self, method, *rest)

    monkeypatch.setattr(metadata_store.MetadataStore, "_call", counted)
    read_run(toy_root, "2026-11-01_010000")
    queries_for_one = len(queries)
    queries.clear()
    read_runs(toy_root)
    assert (
        len(queries) <= queries_for_one + 6 + 7
    )  # six more runs; the other pipeline, and its six steps


@pytest.fixture
def runs():
    names = ("2026-11-01_010000", "2026-11-01_010000-1", "2026-11-02_010000")
    return [RunRecord(name, "toy", ()) for name in names]


def test_a_run_is_selected_by_name_prefix_or_latest(runs):
    assert find_run(runs, "2026-11-02").name == "2026-11-02_010000"
    assert find_run(runs, "latest").name == "2026-11-02_010000"
    assert find_run(runs, "2026-11-01_010000").name == "2026-11-01_010000"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2026-11-01", "2 runs match '2026-11-01'.*Newest runs: 2026-11-01_010000, "),
        ("yesterday", "No run matches 'yesterday'.*Newest runs: 2026-11-01_010000, "),
    ],
)
def test_an_unknown_or_ambiguous_name_is_an_error(runs, name, message):
    with pytest.raises(ConfigError, match=message):
        find_run(runs, name)


def test_selecting_from_no_runs_is_an_error():
    with pytest.raises(ConfigError, match="no runs yet"):
        find_run([], "latest")


def test_a_folder_without_a_database_is_not_a_root(tmp_path):
    with pytest.raises(ConfigError, match=r"is not a pipeline root: it has no metadata.sqlite"):
        read_runs(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_or_foreign_database_is_an_error(tmp_path, toy_root):
    file = tmp_path / "metadata.sqlite"
    content = (toy_root / "metadata.sqlite").read_bytes()
    file.write_bytes(content[: len(content) // 3])
    with pytest.raises(
        ConfigError, match="cannot be read: it is damaged or not an ML Metadata database"
    ):
        read_runs(tmp_path)
    file.write_bytes(b"hello " * 1000)
    with pytest.raises(ConfigError, match="file is not a database"):
        read_runs(tmp_path)
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE notes (text)")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_runs(tmp_path)
