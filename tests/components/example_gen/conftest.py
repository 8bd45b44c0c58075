"""Run the executor in Beam, and read the artifacts that it writes."""

import dataclasses
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from diptych.components.example_gen.component import ExampleGen, ExampleGenExecutor
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.pipeline.engines import beam_args
from diptych.schemas.artifacts import DataReportArtifact, Rejected
from diptych.schemas.config.beam import BeamConfig
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.data_report import DataReport
from diptych.schemas.rejected_rows import IngestSummary


@dataclasses.dataclass
class Run:
    examples: standard_artifacts.Examples
    rejected: Rejected
    data_report: DataReportArtifact

    def split(self, name):
        """Return the examples of a split as dicts; single values are not in lists."""
        examples = []
        for path in sorted(Path(self.examples.uri, f"Split-{name}").iterdir()):
            for record in tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator():
                example = tf.train.Example.FromString(record)
                examples.append(
                    {key: _values(value) for key, value in example.features.feature.items()}
                )
        return examples

    def all_examples(self):
        return [e for name in json.loads(self.examples.split_names) for e in self.split(name)]

    def reasons(self):
        tables = [pq.read_table(path) for path in sorted(Path(self.rejected.uri).glob("*.parquet"))]
        assert tables
        return {row["source"]: row["reason"] for table in tables for row in table.to_pylist()}

    def report(self):
        return DataReport.read(Path(self.data_report.uri))

    def split_of_sources(self):
        return {
            example["source"].decode(): name
            for name in json.loads(self.examples.split_names)
            for example in self.split(name)
        }

    def summary(self):
        return IngestSummary.read(Path(self.rejected.uri))

    def files(self):
        root = Path(self.examples.uri)
        return {
            str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
        }


def _values(feature):
    values = list(getattr(feature, feature.WhichOneof("kind")).value)
    return values[0] if len(values) == 1 else values


@pytest.fixture
def ingest(tmp_path):
    """Run the step as the TFX launcher does, with an inferred or given input spec."""
    count = iter(range(100))

    def run(data, split=None, inputs=None, runner=()):
        split = split or SplitConfig()
        inputs = inputs or infer_input_spec(data, split)
        folder = tmp_path / f"run-{next(count)}"
        artifacts = {
            "examples": standard_artifacts.Examples(),
            "rejected": Rejected(),
            "data_report": DataReportArtifact(),
        }
        for name, artifact in artifacts.items():
            artifact.uri = str(folder / name)
        parameters = ExampleGen(data, split, inputs).exec_properties
        arguments = [*beam_args(BeamConfig()), *runner]  # of an option, the last value is used
        context = ExampleGenExecutor.Context(beam_pipeline_args=arguments, unique_id="1")
        ExampleGenExecutor(context).Do(
            {}, {name: [artifact] for name, artifact in artifacts.items()}, parameters
        )
        return Run(*artifacts.values())

    return run
