"""(e) Reading shards of 28 x 28 x 3 images in one process, without training."""

import shutil
import time
from pathlib import Path

from benchmarks.pairs.data import class_sizes, make_data
from benchmarks.train.digits import draw_pairs

from diptych.schemas.config.pairs import Pairs
from diptych.schemas.input_spec import Inputs

_EXAMPLES = 50_000
_INPUTS = Inputs(kind="image", size=(28, 28), channels=3)


def run(folder: Path) -> float:
    """Reads an epoch after a first one; returns examples/s."""
    from diptych.components.trainer.batches import ShardReader
    from diptych.schemas.config.train import Train

    files = make_data(folder / "colour", class_sizes(_EXAMPLES, 1000, 1.3), 28 * 28 * 3)
    draw_pairs(folder / "colour-pairs", {"train": files}, _INPUTS, Pairs(policy="natural"))
    reader = ShardReader(folder / "colour-pairs" / "Split-train", "pairs", Train().batches_per_step)
    for epoch in range(2):
        start = time.perf_counter()
        examples = sum(len(batch.x) for batch in reader.epoch(epoch))
        seconds = time.perf_counter() - start
    shutil.rmtree(folder / "colour-pairs")
    return examples / seconds
