"""Training in this process with every loss and each of its distances."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shard_writer import blobs, write_split

from diptych.components.trainer.learner import DistributedContext
from diptych.components.trainer.loop import train
from diptych.components.trainer.network import build_network
from diptych.components.trainer.pair_evaluator import PairEvaluator
from diptych.schemas.config.model import DISTANCES, ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.shards import TRIPLETS_SCHEMA, InputShape, shard_name

MINED = [{"name": "triplet", "mining": mining} for mining in ("all", "hard", "semi_hard")]
CASES = [
    (loss, distance)
    for name, distances in DISTANCES.items()
    for loss in ([{"name": "triplet", "mining": "given"}, *MINED] if name == "triplet" else [name])
    for distance in distances
]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A pair set of four classes in batches of twelve examples, with triplets."""
    folder = tmp_path_factory.mktemp("pairs")
    for split, batches, seed in (("train", 24, 1), ("calibration", 4, 2), ("test", 4, 3)):
        path = folder / f"Split-{split}"
        write_split(path, blobs(batches=batches, seed=seed), num_shards=4)
        for shard in range(4):
            _write_triplets(path, shard, batches=range(shard, batches, 4))
    return folder


def _write_triplets(folder, shard, batches):
    """Write triplets: two adjacent rows of a class, and the first row of the next class."""
    rows = []
    for index, number in enumerate(batches):
        for class_index in range(4):
            anchor = 12 * index + 3 * class_index
            negative = 12 * index + 3 * ((class_index + 1) % 4)
            rows.append((number, anchor, anchor + 1, negative, 1.0))
    columns = zip(*rows, strict=True)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, TRIPLETS_SCHEMA, strict=True)]
    pq.write_table(
        pa.table(arrays, schema=TRIPLETS_SCHEMA), folder / shard_name("triplets", shard, 4)
    )


@pytest.mark.parametrize(("loss", "distance"), CASES)
def test_every_loss_learns_to_separate_classes(pairs, loss, distance):
    model = ModelConfig(loss=loss, distance=distance, embedding_size=4, encoder={"name": "mlp"})
    settings = TrainConfig(epochs=6, learning_rate=0.01, num_workers=0, patience=6)
    weights, curves = train(pairs, model, settings, DistributedContext(), lambda metrics: None)
    assert curves[-1].loss < curves[0].loss
    network = build_network(model, InputShape(kind="vector", shape=(6,)))
    network.set_weights(weights)
    threshold = PairEvaluator(pairs / "Split-calibration").threshold(network)
    assert PairEvaluator(pairs / "Split-test").accuracy(network, threshold) > 0.93


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "mixed_float16"},
        {"precision": "mixed_bfloat16"},
        {"optimizer": "sgd", "learning_rate": 0.1, "clip_norm": 1.0},
        {"optimizer": "adamw", "warmup_epochs": 1.5, "schedule": "constant"},
        {"augmentation": {"noise": 0.1, "mixing": 0.5}},
        {"ema": 0.9},
    ],
)
def test_training_learns_with_every_optional_setting(pairs, changes):
    settings = TrainConfig(epochs=4, num_workers=0, **{"learning_rate": 0.01, **changes})
    weights, curves = train(
        pairs, ModelConfig(embedding_size=4), settings, DistributedContext(), lambda metrics: None
    )
    assert all(np.isfinite(value).all() for value in weights)
    assert curves[-1].loss < 0.5 * curves[0].loss
    assert curves[-1].calibration_accuracy > 0.9


def test_averaged_weights_are_evaluated_and_returned(pairs):
    def train_one_epoch(ema):
        settings = TrainConfig(epochs=1, num_workers=0, ema=ema, learning_rate=0.01)
        return train(
            pairs,
            ModelConfig(embedding_size=4),
            settings,
            DistributedContext(),
            lambda metrics: None,
        )

    (plain, plain_curves), (averaged, curves) = train_one_epoch(None), train_one_epoch(0.99)
    assert curves[0].loss == pytest.approx(plain_curves[0].loss, rel=1e-5)  # same gradients
    assert curves[0].calibration_loss != pytest.approx(plain_curves[0].calibration_loss, rel=1e-3)
    assert any(not np.allclose(a, b) for a, b in zip(plain, averaged, strict=True))
