"""(a) PairGen, on Beam's in-process runner, as `diptych run` runs it."""

from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from diptych.components.pair_gen.component import make_all
from diptych.pipeline.engines import beam_args, thread_args
from diptych.schemas.config.beam import Beam
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.input_spec import Inputs
from diptych.schemas.shards import Manifest


def run(paths: list[str], folder: Path, settings: Pairs, width: int) -> int:
    """Draws and writes the pairs; returns how many."""
    inputs = Inputs(kind="image", size=(width, 1), channels=1)
    options = PipelineOptions([*beam_args(Beam()), *thread_args(Beam())])
    pipeline = beam.Pipeline(options=options)
    make_all(pipeline, {"train": paths}, folder, folder, settings, inputs)
    return Manifest.read(folder / "Split-train").num_pairs
