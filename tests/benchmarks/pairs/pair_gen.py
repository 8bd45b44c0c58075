"""(a) PairGen, on Beam's in-process runner, as `diptych run` runs it."""

from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from diptych.components.pair_gen.transforms import MakePairs
from diptych.pipeline.engines import beam_args, thread_args
from diptych.schemas.config import Beam, Pairs
from diptych.schemas.inputs import Inputs
from diptych.schemas.shards import Manifest


def run(paths: list[str], folder: Path, settings: Pairs, width: int) -> int:
    """Draws and writes the pairs; returns how many."""
    inputs = Inputs(kind="image", size=(width, 1), channels=1)
    options = PipelineOptions([*beam_args(Beam()), *thread_args(Beam())])
    with beam.Pipeline(options=options) as pipeline:
        made = MakePairs("train", str(folder), settings, inputs, str(folder / "balance"))
        pipeline | beam.Create(paths) | made
    return Manifest.read(folder).num_pairs
