"""Dataflow's dry run: translates and checks the whole graph, and sends nothing."""

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from diptych.components.pair_gen.component import make_all
from diptych.pipeline.engines import beam_args
from diptych.schemas.config.beam import Beam
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.input_spec import Inputs
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
    args = beam_args(Beam(runner="dataflow", options=options))
    files = {name: ["/shared/transformed.gz"] for name in SPLITS}
    inputs = Inputs(kind="image", size=(3, 2), channels=1)
    make_all(beam.Pipeline(options=PipelineOptions(args)), files, folder, folder, Pairs(), inputs)


def test_dataflow_takes_the_graph_of_pair_gen_and_nothing_runs(tmp_path):
    submit(tmp_path, OPTIONS)
    assert not list(tmp_path.iterdir())


def test_dataflow_itself_refuses_what_it_cannot_use(tmp_path):
    with pytest.raises(ValueError, match="Invalid Project ID"):
        submit(tmp_path, {**OPTIONS, "project": "NOT A PROJECT"})
