"""(a) PairGen, on Beam's in-process runner."""

from pathlib import Path

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from diptych.components.pair_gen.transforms import MakePairs
from diptych.schemas.config import Pairs
from diptych.schemas.inputs import Inputs
from diptych.schemas.shards import Manifest


def run(paths: list[str], folder: Path, settings: Pairs, width: int) -> int:
    """Draws and writes the pairs; returns how many."""
    inputs = Inputs(kind="image", size=(width, 1), channels=1)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        made = MakePairs("train", str(folder), settings, inputs, str(folder / "balance"))
        pipeline | beam.Create(paths) | made
    return Manifest.read(folder).num_pairs
