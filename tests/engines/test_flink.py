"""Beam steps on a Flink cluster write the same bytes as in process, even after a worker is lost."""

from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import numpy as np
import pandas as pd
import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions

from diptych.cli.main import main
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.pair_gen.component import generate_pairs
from diptych.pipeline.engines import beam_args
from diptych.schemas.config.loading import load_config
from diptych.schemas.shards import SPLITS

# Beam threads that act as workers in this process raise when a job has ended.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

CONFIG = {
    "name": "toy",
    "data": {"kind": "table", "path": "data.csv", "label": "label"},
    "pairs": {"classes_per_batch": 3, "rounds": 1, "num_shards": 4},
    "model": {"embedding_size": 4},
    "train": {"num_workers": 0, "epochs": 1},
    "evaluate": {"requirements": {"accuracy": 0}, "bootstrap": 10},
}
# Parts of operator names of ExampleGen, StatisticsGen, Transform and PairGen.
OPERATORS = ("Ingest", "GenerateStatistics[train]", "TransformIndex", "MakePairs[train]")


def read_files(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def count_records(job):
    """Return the number of records written by each operator group of a job, by name."""
    return {vertex["name"]: vertex["metrics"]["write-records"] for vertex in job["vertices"]}


@pytest.fixture(scope="module")
def roots(tmp_path_factory, flink):
    """Complete runs on the same data, in process and on Flink, and their configurations."""
    folder = tmp_path_factory.mktemp("runs")
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(generator.normal(size=(150, 3)), columns=["x", "y", "z"])
    rows["label"] = generator.choice(["a", "b", "c"], 150, p=[0.6, 0.3, 0.1])
    rows.to_csv(folder / "data.csv", index=False)
    on_flink = {"runner": "flink", "options": flink.beam_options()}
    for name, section in (("local", {}), ("flink", on_flink)):
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**CONFIG, "beam": section}))
        with pytest.raises(SystemExit, match=r"^0$"):
            main(["run", str(path), "--root", str(folder / name)])
    return folder


def test_each_beam_step_ran_as_a_job_on_the_cluster(roots, flink):
    jobs = flink.jobs()[: len(OPERATORS)]
    assert [job["state"] for job in jobs] == ["FINISHED"] * len(OPERATORS)
    for job, operator in zip(jobs, OPERATORS, strict=True):
        counts = count_records(job)
        assert sum(count for name, count in counts.items() if operator in name) > 0, (
            operator,
            counts,
        )


def test_examples_and_pairs_are_the_same_bytes_as_in_process(roots):
    for step in ("ExampleGen", "PairGen"):
        written = read_files(roots / "flink" / "artifacts" / step)
        assert written == read_files(roots / "local" / "artifacts" / step) != {}


def test_changing_the_engine_does_not_invalidate_the_cache(roots, capfd):
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["run", str(roots / "local.yaml"), "--root", str(roots / "flink")])
    assert "all from the cache" in capfd.readouterr().out


def test_killing_a_task_manager_loses_no_data(roots, flink, tmp_path):
    transformed = roots / "local" / "artifacts" / "Transform" / "transformed_examples"
    files = {name: sorted(map(str, transformed.glob(f"*/Split-{name}/*"))) for name in SPLITS}
    config = load_config(roots / "flink.yaml")
    inputs = infer_input_spec(config.data, config.split)
    num_jobs = len(flink.jobs())

    def run_pair_gen():
        pipeline = beam.Pipeline(options=PipelineOptions(beam_args(config.beam)))
        generate_pairs(pipeline, files, tmp_path / "pairs", tmp_path, config.pairs, inputs)

    def task_managers_in_progress():
        """Return the task managers of a job with both finished and running tasks."""
        for job in flink.jobs()[num_jobs:]:
            if {"FINISHED", "RUNNING"} <= {vertex["status"] for vertex in job["vertices"]}:
                return flink.task_managers_of(job)
        return None

    with ThreadPoolExecutor() as pool:
        work = pool.submit(run_pair_gen)
        assert flink.wait_for(task_managers_in_progress) == {"first"}
        flink.kill_task_manager("first")
        flink.start_task_manager("second")
        work.result()
    (job,) = flink.jobs()[num_jobs:]
    assert job["state"] == "FINISHED"
    assert flink.losses(job)
    (expected,) = (roots / "local" / "artifacts" / "PairGen" / "pairs").iterdir()
    assert read_files(tmp_path / "pairs") == read_files(expected)
