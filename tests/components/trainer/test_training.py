"""The loop in this process and on a real Ray; ``tests/workers`` has more of the latter."""

import keras
import numpy as np
import pytest
from shard_writer import blobs, write_blobs, write_split

from diptych.components.trainer.launch import train_anywhere
from diptych.components.trainer.learner import Place
from diptych.components.trainer.loop import train
from diptych.components.trainer.network import build_network
from diptych.schemas.config.model import Decoder, Model
from diptych.schemas.config.train import Train
from diptych.schemas.errors import ConfigError, TrainingError
from diptych.schemas.shards import InputShape

MODEL = Model(embedding_size=4)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_blobs(tmp_path_factory.mktemp("pairs"), batches=10)


def _settings(**changes):
    return Train(epochs=4, patience=4, batches_per_step=4, **changes)


@pytest.fixture(scope="module")
def in_process(pairs, tmp_path_factory):
    return train_anywhere(pairs, MODEL, _settings(), tmp_path_factory.mktemp("storage"))


def test_it_learns(in_process):
    _, curves = in_process
    assert curves[-1].loss < 0.5 * curves[0].loss
    assert curves[-1].calibration_accuracy > 0.9


def test_the_same_seed_gives_the_same_losses(in_process, pairs, tmp_path):
    _, again = train_anywhere(pairs, MODEL, _settings(), tmp_path)
    losses = [line.loss for line in in_process[1]]
    assert [line.loss for line in again] == pytest.approx(losses, rel=1e-6)


def test_a_decoder_is_trained_along(in_process, pairs, tmp_path):
    with_decoder = MODEL.model_copy(update={"decoder": Decoder(weight=1.0)})
    weights, curves = train_anywhere(pairs, with_decoder, _settings(), tmp_path)
    alone_weights, alone = in_process
    assert len(weights) == len(alone_weights) + 6  # kernels and biases
    assert curves[0].loss > alone[0].loss
    assert curves[-1].loss < 0.95 * curves[0].loss


def test_batches_without_pairs_change_nothing(tmp_path):
    x, labels = blobs(batches=1, seed=9)[0]
    alone = [(x[:1], labels[:1])] * 4  # one row makes no pair; four batches make one step
    write_split(tmp_path / "Split-train", alone, num_shards=4)
    write_split(tmp_path / "Split-calibration", blobs(batches=2, seed=2), num_shards=4)
    weights, curves = train_anywhere(tmp_path, MODEL, _settings(), tmp_path / "storage")
    assert [line.loss for line in curves] == [0, 0, 0, 0]
    assert all(np.isfinite(value).all() for value in weights)


def test_a_worker_without_a_batch_in_a_step_of_images_changes_nothing(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1)).astype(np.uint8)
    batch = (x, np.repeat([0, 1], 3))
    write_split(tmp_path / "Split-train", [batch], num_shards=2)
    write_split(tmp_path / "Split-calibration", [batch], num_shards=2)
    model = Model(encoder="cnn_small", embedding_size=4, decoder=Decoder())
    second = Place(rank=1, workers=2)  # of one batch it is given none, and hears of no other
    weights, curves = train(
        tmp_path, model, Train(epochs=1, batches_per_step=2), second, lambda line: None
    )
    assert curves[0].loss == 0
    keras.utils.set_random_seed(0)
    fresh = build_network(model, InputShape(kind="image", shape=(8, 8, 1))).get_weights()
    for mine, before in zip(weights, fresh, strict=True):
        np.testing.assert_array_equal(mine, before)


def test_a_loss_that_is_not_finite_says_at_which_step(pairs, tmp_path):
    reckless = _settings(learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"not finite at epoch \d, step \d of 3.*learning_rate"):
        train_anywhere(pairs, MODEL, reckless, tmp_path)


@pytest.mark.parametrize(
    ("encoder", "says"),
    [
        ("no_such_module:build", "cannot be imported"),
        ("builtins:print", "must return a Keras model"),
    ],
)
def test_an_encoder_that_does_not_fit_is_named(pairs, tmp_path, encoder, says):
    with pytest.raises(ConfigError, match=says):
        train_anywhere(pairs, Model(encoder=encoder), _settings(), tmp_path)
