"""The training loop in this process and on a local Ray; ``tests/workers`` tests failures."""

import keras
import numpy as np
import pytest
from shard_writer import blobs, write_blobs, write_split

from diptych.components.trainer.launch import run_training
from diptych.components.trainer.learner import DistributedContext
from diptych.components.trainer.loop import train
from diptych.components.trainer.network import build_network
from diptych.schemas.config.model import DecoderConfig, ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import ConfigError, TrainingError
from diptych.schemas.shards import InputShape

MODEL = ModelConfig(embedding_size=4)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_blobs(tmp_path_factory.mktemp("pairs"), batches=10)


def _settings(num_workers=0, **changes):
    return TrainConfig(epochs=4, patience=4, batches_per_step=4, num_workers=num_workers, **changes)


@pytest.fixture(scope="module")
def in_process(pairs, tmp_path_factory):
    return run_training(pairs, MODEL, _settings(), tmp_path_factory.mktemp("checkpoints"))


def test_the_loss_falls_and_the_calibration_accuracy_is_high(in_process):
    _, curves = in_process
    assert curves[-1].loss < 0.5 * curves[0].loss
    assert curves[-1].calibration_accuracy > 0.9


def test_the_same_seed_reproduces_the_losses(in_process, pairs, tmp_path):
    _, again = run_training(pairs, MODEL, _settings(), tmp_path)
    losses = [metrics.loss for metrics in in_process[1]]
    assert [metrics.loss for metrics in again] == pytest.approx(losses, rel=1e-6)


def test_a_decoder_is_trained_with_the_encoder(in_process, pairs, tmp_path):
    with_decoder = MODEL.model_copy(update={"decoder": DecoderConfig(weight=1.0)})
    weights, curves = run_training(pairs, with_decoder, _settings(), tmp_path)
    encoder_weights, encoder_curves = in_process
    assert len(weights) == len(encoder_weights) + 6  # kernels and biases
    assert curves[0].loss > encoder_curves[0].loss
    assert curves[-1].loss < 0.95 * curves[0].loss


def test_batches_without_pairs_have_a_loss_of_zero(tmp_path):
    x, labels = blobs(batches=1, seed=9)[0]
    # One row makes no pair; four batches make one step.
    batches = [(x[:1], labels[:1])] * 4
    write_split(tmp_path / "Split-train", batches, num_shards=4)
    write_split(tmp_path / "Split-calibration", blobs(batches=2, seed=2), num_shards=4)
    weights, curves = run_training(tmp_path, MODEL, _settings(), tmp_path / "checkpoints")
    assert [metrics.loss for metrics in curves] == [0, 0, 0, 0]
    assert all(np.isfinite(value).all() for value in weights)


def test_a_worker_with_an_empty_batch_of_images_does_not_change_the_weights(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1)).astype(np.uint8)
    batch = (x, np.repeat([0, 1], 3))
    write_split(tmp_path / "Split-train", [batch], num_shards=2)
    write_split(tmp_path / "Split-calibration", [batch], num_shards=2)
    model = ModelConfig(encoder="cnn_small", embedding_size=4, decoder=DecoderConfig())
    # The only batch goes to rank 0. The all-reduce is the identity, so rank 1 gets no gradients.
    context = DistributedContext(rank=1, world_size=2)
    weights, curves = train(
        tmp_path, model, TrainConfig(epochs=1, batches_per_step=2), context, lambda metrics: None
    )
    assert curves[0].loss == 0
    keras.utils.set_random_seed(0)
    initial = build_network(model, InputShape(kind="image", shape=(8, 8, 1))).get_weights()
    for trained, untrained in zip(weights, initial, strict=True):
        np.testing.assert_array_equal(trained, untrained)


def test_a_loss_that_is_not_finite_raises_an_error_with_the_step(pairs, tmp_path):
    divergent = _settings(num_workers=1, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"not finite at epoch \d, step \d of 3.*learning_rate"):
        run_training(pairs, MODEL, divergent, tmp_path)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("no_such_module:build", "cannot be imported"),
        ("builtins:print", "must return a Keras model"),
    ],
)
def test_an_unusable_custom_encoder_raises_an_error(pairs, tmp_path, encoder, message):
    with pytest.raises(ConfigError, match=message):
        run_training(pairs, ModelConfig(encoder=encoder), _settings(num_workers=1), tmp_path)
