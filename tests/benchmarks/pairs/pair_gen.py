"""PairGen on the in-process runner of Beam, with the options of `diptych run`."""

from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from diptych.components.pair_gen.component import generate_pairs
from diptych.pipeline.engines import beam_args, thread_args
from diptych.schemas.config.beam import BeamConfig
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.shards import SplitManifest


def run(paths: list[str], folder: Path, settings: PairsConfig, width: int) -> int:
    """Sample and write the pairs; return their number."""
    inputs = InputSpec(kind="image", size=(width, 1), channels=1)
    options = PipelineOptions([*beam_args(BeamConfig()), *thread_args(BeamConfig())])
    pipeline = beam.Pipeline(options=options)
    generate_pairs(pipeline, {"train": paths}, folder, folder, settings, inputs)
    return SplitManifest.read(folder / "Split-train").num_pairs
