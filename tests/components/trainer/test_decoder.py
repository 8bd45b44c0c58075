import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.trainer.decoder import build_decoder, kl_divergence
from diptych.components.trainer.encoders import build_encoder
from diptych.schemas.config.model import DecoderConfig, ModelConfig
from diptych.schemas.shards import InputShape

VECTORS = InputShape(kind="vector", shape=(2,))


def images(height, width, channels):
    return InputShape(kind="image", shape=(height, width, channels))


def make_decoder(shape, **settings):
    return build_decoder(DecoderConfig(**{"latent_size": 3, "units": 16, **settings}), 5, shape)


def fix_posterior(decoder, mean, log_variance):
    """Set mean and log variance of the posterior, for every embedding."""
    kernel, bias = decoder.posterior.variables
    kernel.assign(tf.zeros_like(kernel))
    bias.assign([*mean, *log_variance])


def test_the_kl_divergence_equals_hand_computed_values():
    # 1/2 (m^2 + v - 1 - ln v) of each: 1/2 for m = 1, v = 1; 1/2 (4 - 1 - ln 4) for m = 0, v = 4.
    mean = np.array([[1.0, 0.0], [0.0, 0.0], [3.0, -1.0]], np.float32)
    log_variance = np.array([[0.0, math.log(4)], [0.0, 0.0], [0.0, 0.0]], np.float32)
    expected = [0.5 + 1.5 - math.log(2), 0, 5]
    np.testing.assert_allclose(kl_divergence(mean, log_variance), expected, rtol=1e-6)


@given(
    mean=st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=2),
    log_variance=st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=2),
)
def test_the_kl_divergence_is_never_negative(mean, log_variance):
    values = kl_divergence(np.array([mean], np.float32), np.array([log_variance], np.float32))
    assert values[0] >= -1e-6


def test_the_loss_is_the_mean_squared_error_plus_the_weighted_divergence():
    embedding, noise = np.ones((2, 5), np.float32), np.zeros((2, 3), np.float32)
    x = np.array([[1.0, 2.0], [0.0, -5.0]], np.float32)
    for kl_weight, divergence in ((0.0, 0.0), (2.0, 2 * (0.5 + 1.5 - math.log(2)))):
        decoder = make_decoder(VECTORS, kl_weight=kl_weight)
        fix_posterior(decoder, [1, 0, 0], [0, math.log(4), 0])
        *_, kernel, bias = decoder.body.variables
        kernel.assign(tf.zeros_like(kernel))
        bias.assign([0.0, 4.0])  # the output for every embedding
        losses = decoder.compute_losses(x, embedding, noise)
        np.testing.assert_allclose(
            losses, [(1 + 4) / 2 + divergence, 81 / 2 + divergence], rtol=1e-6
        )


def test_pixels_are_scaled_to_0_to_1_for_any_image_size():
    for shape in (images(8, 8, 1), images(12, 20, 3)):
        decoder = make_decoder(shape, kl_weight=0)
        *_, kernel, bias = decoder.body.variables
        kernel.assign(tf.zeros_like(kernel))
        bias.assign(tf.zeros_like(bias))  # the sigmoid of 0 is 1/2
        x = np.zeros((3, *shape.shape), np.uint8)
        x[1], x[2, :4] = 255, 51
        noise = np.zeros((3, 3), np.float32)
        losses = decoder.compute_losses(x, np.ones((3, 5), np.float32), noise).numpy()
        fraction = 4 / shape.shape[0]
        expected = [0.25, 0.25, fraction * 0.09 + (1 - fraction) * 0.25]
        np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_noise_is_scaled_by_the_standard_deviation():
    decoder = make_decoder(VECTORS, kl_weight=0)
    embedding = np.ones((1, 5), np.float32)
    fix_posterior(decoder, [0.5, 2, -1], [0, math.log(4), -50])
    x = np.zeros((1, 2), np.float32)
    losses = decoder.compute_losses(x, embedding, np.array([[0.25, -3, 7]], np.float32))
    fix_posterior(decoder, [0.5 + 1 * 0.25, 2 + 2 * -3, -1], [0, 0, 0])
    expected = decoder.reconstruct(embedding)
    np.testing.assert_allclose(losses, np.mean(np.square(expected), axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    "shape",
    [VECTORS, images(3, 5, 1), images(8, 8, 3), images(28, 28, 1), images(30, 17, 3)],
    ids=str,
)
def test_a_reconstruction_has_the_input_shape_and_all_variables_have_gradients(shape):
    decoder = make_decoder(shape)
    generator = np.random.default_rng(0)
    embedding = tf.constant(generator.normal(size=(4, 5)), tf.float32)
    reconstructed = decoder.reconstruct(embedding).numpy()
    assert (reconstructed.shape, reconstructed.dtype) == ((4, *shape.shape), np.float32)
    if shape.kind == "image":
        assert 0 <= reconstructed.min() < reconstructed.max() <= 1
    x = (100 * generator.random((4, *shape.shape))).astype(np.float32)
    noise = generator.normal(size=(4, decoder.latent_size)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(embedding)
        losses = decoder.compute_losses(x, embedding, noise)
    assert losses.shape == (4,)
    gradients = tape.gradient(losses, [embedding, *decoder.trainable_variables])
    assert len(gradients) > 6
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert np.any(gradient)


def test_a_small_autoencoder_memorizes_its_images():
    keras.utils.set_random_seed(0)
    shape = images(8, 8, 1)
    x = np.zeros((4, 8, 8, 1), np.uint8)
    for row, (top, left) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
        x[row, top : top + 4, left : left + 4] = 255
    encoder = build_encoder(ModelConfig(encoder="mlp", embedding_size=5), shape)
    decoder = make_decoder(shape, latent_size=4, units=64, kl_weight=1e-4)
    variables = [*encoder.trainable_variables, *decoder.trainable_variables]
    optimizer = keras.optimizers.Adam(5e-3)
    optimizer.build(variables)

    @tf.function
    def step(noise):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(decoder.compute_losses(x, encoder(x), noise))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    generator = np.random.default_rng(0)
    for _ in range(150):
        step(tf.constant(generator.normal(size=(4, 4)), tf.float32))
    assert np.abs(decoder.reconstruct(encoder(x)) - x / 255).mean() < 0.05
