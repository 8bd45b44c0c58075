"""The component in a real pipeline, with ML Metadata and its cache."""

import os

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner

from diptych.components.example_gen.component import ExampleGen
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.pipeline.engines import beam_args
from diptych.schemas.config.beam import BeamConfig
from diptych.schemas.config.data import Table
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DataError
from diptych.schemas.files import PARTIAL_SUFFIX


@pytest.fixture
def launch(tmp_path):
    data = Table(kind="table", path=str(tmp_path / "t.csv"), label="y")
    connection = metadata.sqlite_metadata_connection_config(str(tmp_path / "mlmd.sqlite"))

    def run(text, code_hash="1"):
        """Run on a file, and return the state of the last execution."""
        path = tmp_path / "t.csv"
        if text is not None:
            path.write_text(text)
        step = ExampleGen(data, SplitConfig(), infer_input_spec(data, SplitConfig()), code_hash)
        root = str(tmp_path / "root")
        steps = pipeline.Pipeline(
            *("p", root, connection, [step]),
            enable_cache=True,
            beam_pipeline_args=beam_args(BeamConfig()),
        )
        LocalDagRunner().run(steps)
        executions = mlmd.MetadataStore(connection).get_executions()
        last = max(executions, key=lambda execution: execution.id)
        assert last.properties["fingerprint"].string_value or last.custom_properties
        return metadata_store_pb2.Execution.State.Name(last.last_known_state)

    return run


def rows(count):
    return "y,a\n" + "".join(f"{i % 3},{i / 7}\n" for i in range(count))


def test_only_new_data_or_new_code_miss_the_cache(launch, tmp_path):
    assert launch(rows(60)) == "COMPLETE"
    assert launch(None) == "CACHED"
    os.utime(tmp_path / "t.csv", (1, 1))
    assert launch(None) == "COMPLETE"
    assert launch(None, code_hash="2") == "COMPLETE"


def test_errors_reach_the_caller_unwrapped(launch, tmp_path):
    with pytest.raises(DataError, match=r"30 of 90 .*above data\.max_rejected"):
        launch(rows(60) + ",1\n" * 30)
    assert not list((tmp_path / "root").rglob("*.gz"))


def test_partial_files_of_killed_workers_are_removed(ingest, tmp_path):
    (tmp_path / "t.csv").write_text(rows(60))
    for folder in ("examples/Split-train", "rejected"):
        (tmp_path / "run-0" / folder).mkdir(parents=True)
        (tmp_path / "run-0" / folder / f"data-7{PARTIAL_SUFFIX}").write_bytes(b"partial")
    ingest(Table(kind="table", path=str(tmp_path / "t.csv"), label="y"))
    assert not list((tmp_path / "run-0").rglob(f"*{PARTIAL_SUFFIX}"))
