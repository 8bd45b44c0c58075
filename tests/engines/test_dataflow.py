"""Dataflow dry run: translate and check the pipeline graph without submitting it."""

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from diptych.components.pair_gen.component import generate_pairs
from diptych.pipeline.engines import beam_args
from diptych.schemas.config.beam import BeamConfig
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.shards import SPLITS

OPTIONS = {
    "project": "some-project",
    "region": "europe-west1",
    "temp_location": "gs://bucket/temp",
    "sdk_container_image": "registry/diptych:1",
    "dry_run": True,
    "no_auth": True,
}


def submit(folder, options):
    args = beam_args(BeamConfig(runner="dataflow", options=options))
    files = {name: ["/shared/transformed.gz"] for name in SPLITS}
    inputs = InputSpec(kind="image", size=(3, 2), channels=1)
    generate_pairs(
        beam.Pipeline(options=PipelineOptions(args)), files, folder, folder, PairsConfig(), inputs
    )


def test_dataflow_accepts_the_graph_of_pair_gen_without_running_it(tmp_path):
    submit(tmp_path, OPTIONS)
    assert not list(tmp_path.iterdir())


def test_dataflow_rejects_invalid_options(tmp_path):
    with pytest.raises(ValueError, match="Invalid Project ID"):
        submit(tmp_path, {**OPTIONS, "project": "NOT A PROJECT"})
