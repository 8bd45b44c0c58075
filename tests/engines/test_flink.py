"""The Beam steps on a real Flink cluster: the same bytes as in process, whatever is lost."""

from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import numpy as np
import pandas as pd
import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions

from diptych.components.example_gen.preflight import settle
from diptych.components.pair_gen.component import make_all
from diptych.pipeline.engines import beam_args
from diptych.pipeline.run import run_pipeline
from diptych.schemas.config.loading import load_config
from diptych.schemas.shards import SPLITS

# Beam's threads in this process, which stand in for workers, complain when a job has ended.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

CONFIG = {
    "name": "toy",
    "data": {"kind": "table", "path": "data.csv", "label": "label"},
    "pairs": {"classes_per_batch": 3, "rounds": 1, "num_shards": 4},
    "model": {"embedding_size": 4},
    "train": {"num_workers": 0, "epochs": 1},
    "evaluate": {"bars": {"accuracy": 0}, "bootstrap": 10},
}
# In the names of the operators of ExampleGen, StatisticsGen, Transform and PairGen.
SIGNS = ("Ingest", "GenerateStatistics[train]", "TransformIndex", "MakePairs[train]")


def files_below(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def records(job):
    """Handed on by each group of operators of a job, by name."""
    return {vertex["name"]: vertex["metrics"]["write-records"] for vertex in job["vertices"]}


@pytest.fixture(scope="module")
def roots(tmp_path_factory, flink):
    """Two whole runs of the same data, in process and on Flink, and the configuration of these."""
    folder = tmp_path_factory.mktemp("runs")
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(generator.normal(size=(150, 3)), columns=["x", "y", "z"])
    rows["label"] = generator.choice(["a", "b", "c"], 150, p=[0.6, 0.3, 0.1])
    rows.to_csv(folder / "data.csv", index=False)
    on_flink = {"runner": "flink", "options": flink.beam_options()}
    for name, section in (("local", {}), ("flink", on_flink)):
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**CONFIG, "beam": section}))
        assert run_pipeline(path, (), folder / name) == 0
    return folder


def test_each_beam_step_ran_as_a_job_on_the_cluster(roots, flink):
    jobs = flink.jobs()[: len(SIGNS)]
    assert [job["state"] for job in jobs] == ["FINISHED"] * len(SIGNS)
    for job, sign in zip(jobs, SIGNS, strict=True):
        counts = records(job)
        assert sum(count for name, count in counts.items() if sign in name) > 0, (sign, counts)


def test_examples_and_pairs_are_the_same_bytes_as_in_process(roots):
    for step in ("ExampleGen", "PairGen"):
        made = files_below(roots / "flink" / "artifacts" / step)
        assert made == files_below(roots / "local" / "artifacts" / step) != {}


def test_another_engine_is_no_reason_to_run_again(roots, capfd):
    assert run_pipeline(roots / "local.yaml", (), roots / "flink") == 0
    assert "all from the cache" in capfd.readouterr().out


def test_a_task_manager_killed_in_the_middle_costs_no_data(roots, flink, tmp_path):
    transformed = roots / "local" / "artifacts" / "Transform" / "transformed_examples"
    files = {name: sorted(map(str, transformed.glob(f"*/Split-{name}/*"))) for name in SPLITS}
    config = load_config(roots / "flink.yaml")
    inputs = settle(config.data, config.split)
    known = len(flink.jobs())

    def make():
        pipeline = beam.Pipeline(options=PipelineOptions(beam_args(config.beam)))
        make_all(pipeline, files, tmp_path / "pairs", tmp_path, config.pairs, inputs)

    def in_the_middle():
        """Some tasks are done and others run: the names of the task managers that run them."""
        for job in flink.jobs()[known:]:
            if {"FINISHED", "RUNNING"} <= {vertex["status"] for vertex in job["vertices"]}:
                return flink.task_managers_of(job)
        return None

    with ThreadPoolExecutor() as pool:
        work = pool.submit(make)
        assert flink.wait_for(in_the_middle) == {"first"}
        flink.kill_task_manager("first")
        flink.start_task_manager("second")
        work.result()
    (job,) = flink.jobs()[known:]
    assert job["state"] == "FINISHED"
    assert flink.losses(job)
    (expected,) = (roots / "local" / "artifacts" / "PairGen" / "pairs").iterdir()
    assert files_below(tmp_path / "pairs") == files_below(expected)
