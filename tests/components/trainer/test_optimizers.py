import keras
import numpy as np
import pytest
import tensorflow as tf

from diptych.components.trainer.optimizers import available_optimizers, make_optimizer
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import ConfigError

# The global norm is 5; the norm of each gradient is below 5.
GRADIENTS = [[3.0, 0.0], [[0.0], [4.0]]]


def sgd(**settings):
    return TrainConfig(optimizer="sgd", learning_rate=0.5, schedule="constant", **settings)


def apply_one_step(settings, gradients):
    """Return variables that were ones after one compiled step, and the optimizer."""
    variables = [keras.Variable(np.ones(np.shape(gradient), "float32")) for gradient in gradients]
    optimizer = make_optimizer(settings, steps_per_epoch=10)
    optimizer.build(variables)

    @tf.function
    def step(*gradients):
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    step(*(tf.constant(gradient, tf.float32) for gradient in gradients))
    return [variable.numpy() for variable in variables], optimizer


def learning_rates(settings, steps_per_epoch, steps):
    optimizer = make_optimizer(settings, steps_per_epoch)
    optimizer.build([keras.Variable([0.0])])
    values = []
    for step in steps:
        optimizer.iterations.assign(step)
        values.append(float(optimizer.learning_rate))
    return values


@pytest.mark.parametrize(
    ("clip_norm", "first", "second"),
    [
        (None, [-0.5, 1.0], [[1.0], [-1.0]]),
        (1.0, [0.7, 1.0], [[1.0], [0.6]]),  # scaled to a norm of 1: 0.6 and 0.8
        (10.0, [-0.5, 1.0], [[1.0], [-1.0]]),
    ],
)
def test_clip_norm_bounds_the_global_norm(clip_norm, first, second):
    after, _ = apply_one_step(sgd(clip_norm=clip_norm), GRADIENTS)
    np.testing.assert_allclose(after[0], first, rtol=1e-6)
    np.testing.assert_allclose(after[1], second, rtol=1e-6)


def test_scaled_gradients_are_unscaled_before_clipping():
    scale = float(make_optimizer(sgd(precision="mixed_float16"), 10).scale_loss(1.0))
    assert scale == 2.0**15
    scaled = [np.multiply(gradient, scale) for gradient in GRADIENTS]
    after, _ = apply_one_step(sgd(precision="mixed_float16", clip_norm=10.0), scaled)
    np.testing.assert_allclose(after[0], [-0.5, 1.0], rtol=1e-6)
    after, _ = apply_one_step(sgd(precision="mixed_float16", clip_norm=1.0), scaled)
    np.testing.assert_allclose(after[0], [0.7, 1.0], rtol=1e-6)
    np.testing.assert_allclose(after[1], [[1.0], [0.6]], rtol=1e-6)


def test_a_step_with_infinite_gradients_is_skipped_and_halves_the_loss_scale():
    settings = sgd(precision="mixed_float16", clip_norm=1.0)
    after, optimizer = apply_one_step(settings, [[np.inf, 0.0], [[0.0], [4.0]]])
    np.testing.assert_array_equal(after[0], [1, 1])
    np.testing.assert_array_equal(after[1], [[1], [1]])
    assert float(optimizer.scale_loss(1.0)) == 2.0**14


def test_only_float16_uses_loss_scaling():
    for precision in ("float32", "mixed_bfloat16"):
        assert float(make_optimizer(sgd(precision=precision), 10).scale_loss(1.0)) == 1


def test_the_cosine_schedule_falls_to_a_fiftieth_after_a_linear_warmup():
    settings = TrainConfig(epochs=4, learning_rate=0.1, warmup_epochs=1.0)
    # 10 steps up, 30 down: the midpoint of the cosine is the mean of 0.1 and 0.002.
    assert learning_rates(settings, 10, [0, 5, 10, 25, 40, 50]) == pytest.approx(
        [0, 0.05, 0.1, 0.051, 0.002, 0.002], rel=1e-5
    )


def test_without_warmup_the_cosine_schedule_starts_at_the_peak():
    settings = TrainConfig(epochs=2, learning_rate=0.1)
    assert learning_rates(settings, 10, [0, 10, 20]) == pytest.approx([0.1, 0.051, 0.002], rel=1e-5)


def test_a_constant_learning_rate_is_constant_after_the_warmup():
    constant = TrainConfig(epochs=4, learning_rate=0.1, schedule="constant")
    assert learning_rates(constant, 10, [0, 7, 100]) == pytest.approx([0.1, 0.1, 0.1])
    warmed = constant.model_copy(update={"warmup_epochs": 0.5})
    assert learning_rates(warmed, 10, [0, 2, 5, 6, 100]) == pytest.approx([0, 0.04, 0.1, 0.1, 0.1])


def test_a_warmup_of_nearly_all_epochs_keeps_one_step_for_the_cosine():
    settings = TrainConfig(epochs=1, learning_rate=0.1, warmup_epochs=0.999)
    assert learning_rates(settings, 3, [0, 2, 3]) == pytest.approx([0, 0.1, 0.002], rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_finalizing_replaces_the_weights_by_their_moving_average(precision):
    weight = keras.Variable([1.0])
    optimizer = make_optimizer(sgd(ema=0.9, precision=precision), steps_per_epoch=10)
    optimizer.build([weight])
    for _ in range(2):  # from 1 to 0, where the average starts, to -1
        optimizer.apply_gradients([(optimizer.scale_loss(tf.constant([2.0])), weight)])
    assert weight.numpy() == pytest.approx([-1])
    optimizer.finalize_variable_values([weight])
    assert weight.numpy() == pytest.approx([-0.1])


@pytest.mark.parametrize("name", available_optimizers())
def test_every_optimizer_descends_with_clipping_averaging_and_loss_scaling(name):
    settings = TrainConfig(optimizer=name, clip_norm=1.0, ema=0.9, precision="mixed_float16")
    scaled = [np.multiply(gradient, 2.0**15) for gradient in GRADIENTS]
    after, _ = apply_one_step(settings, scaled)
    assert after[0][0] < 1
    assert after[1][1, 0] < 1


def test_an_unknown_optimizer_raises_with_the_available_names():
    with pytest.raises(ConfigError, match=r"got adamm\. Choose one of .*adam, .*lion, .*sgd\.$"):
        make_optimizer(TrainConfig(optimizer="adamm"), steps_per_epoch=10)
    with pytest.raises(ConfigError, match="got lossscaleoptimizer"):
        make_optimizer(TrainConfig(optimizer="lossscaleoptimizer"), steps_per_epoch=10)
