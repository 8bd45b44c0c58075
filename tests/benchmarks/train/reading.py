"""Reading of shards of 28 x 28 x 3 images in one process, without training."""

import shutil
import time
from pathlib import Path

from benchmarks.pairs.data import class_sizes, make_data
from benchmarks.train.digits import sample_pairs

from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.input_spec import InputSpec

_EXAMPLES = 50_000
_INPUTS = InputSpec(kind="image", size=(28, 28), channels=3)


def run(folder: Path) -> float:
    """Read two epochs; return the examples/s of the second."""
    from diptych.components.trainer.batches import ShardReader
    from diptych.schemas.config.train import TrainConfig

    files = make_data(folder / "color", class_sizes(_EXAMPLES, 1000, 1.3), 28 * 28 * 3)
    sample_pairs(folder / "color-pairs", {"train": files}, _INPUTS, PairsConfig(sampling="natural"))
    reader = ShardReader(
        folder / "color-pairs" / "Split-train", "pairs", TrainConfig().batches_per_step
    )
    for epoch in range(2):
        start = time.perf_counter()
        examples = sum(len(batch.x) for batch in reader.iter_epoch(epoch))
        seconds = time.perf_counter() - start
    shutil.rmtree(folder / "color-pairs")
    return examples / seconds
