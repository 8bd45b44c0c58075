"""Each loss, on each distance that it goes with, trains in this process."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shard_writer import blobs, write_split

from diptych.components.trainer.learner import Place
from diptych.components.trainer.loop import train
from diptych.components.trainer.network import build_network
from diptych.components.trainer.pair_evaluator import JudgedPairs
from diptych.schemas.config.model import DISTANCES, Model
from diptych.schemas.config.train import Train
from diptych.schemas.shards import TRIPLETS, InputShape, shard_name

MINED = [{"name": "triplet", "mining": mining} for mining in ("all", "hard", "semi_hard")]
CASES = [
    (loss, distance)
    for name, distances in DISTANCES.items()
    for loss in ([{"name": "triplet", "mining": "given"}, *MINED] if name == "triplet" else [name])
    for distance in distances
]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Four classes in batches of twelve, with some triplets."""
    folder = tmp_path_factory.mktemp("pairs")
    for split, batches, seed in (("train", 24, 1), ("calibration", 4, 2), ("test", 4, 3)):
        path = folder / f"Split-{split}"
        write_split(path, blobs(batches=batches, seed=seed), num_shards=4)
        for shard in range(4):
            _write_triplets(path, shard, batches=range(shard, batches, 4))
    return folder


def _write_triplets(folder, shard, batches):
    """Two rows of a class (they stand side by side), and the next class's first row."""
    rows = []
    for place, number in enumerate(batches):
        for of_class in range(4):
            anchor = 12 * place + 3 * of_class
            negative = 12 * place + 3 * ((of_class + 1) % 4)
            rows.append((number, anchor, anchor + 1, negative, 1.0))
    columns = zip(*rows, strict=True)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, TRIPLETS, strict=True)]
    pq.write_table(pa.table(arrays, schema=TRIPLETS), folder / shard_name("triplets", shard, 4))


@pytest.mark.parametrize(("loss", "distance"), CASES)
def test_it_tells_classes_apart_that_it_could_not_before(pairs, loss, distance):
    model = Model(loss=loss, distance=distance, embedding_size=4, encoder={"name": "mlp"})
    settings = Train(epochs=6, learning_rate=0.01, num_workers=0, patience=6)
    weights, curves = train(pairs, model, settings, Place(), lambda line: None)
    assert curves[-1].loss < curves[0].loss
    network = build_network(model, InputShape(kind="vector", shape=(6,)))
    test = JudgedPairs(pairs / "Split-test")
    network.set_weights(weights)
    threshold = JudgedPairs(pairs / "Split-calibration").threshold(network)
    assert test.accuracy(network, threshold) > 0.93


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
def test_it_learns_with_every_setting(pairs, changes):
    settings = Train(epochs=4, num_workers=0, **{"learning_rate": 0.01, **changes})
    weights, curves = train(pairs, Model(embedding_size=4), settings, Place(), lambda line: None)
    assert all(np.isfinite(value).all() for value in weights)
    assert curves[-1].loss < 0.5 * curves[0].loss
    assert curves[-1].calibration_accuracy > 0.9


def test_averaged_weights_are_judged_and_kept(pairs):
    def last(ema):
        settings = Train(epochs=1, num_workers=0, ema=ema, learning_rate=0.01)
        return train(pairs, Model(embedding_size=4), settings, Place(), lambda line: None)

    (plain, plain_curves), (averaged, curves) = last(None), last(0.99)
    assert curves[0].loss == pytest.approx(plain_curves[0].loss, rel=1e-5)  # the same training
    assert curves[0].calibration_loss != pytest.approx(plain_curves[0].calibration_loss, rel=1e-3)
    assert any(not np.allclose(a, b) for a, b in zip(plain, averaged, strict=True))
