"""Shapes, gradients and errors of all encoders."""

import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from diptych.components.trainer.encoders import build_encoder
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.errors import ConfigError
from diptych.schemas.shards import InputShape

VECTORS = InputShape(kind="vector", shape=(6,))


def images(height, width, channels):
    return InputShape(kind="image", shape=(height, width, channels))


def make_encoder(encoder, shape, **settings):
    precision = settings.pop("precision", "float32")
    return build_encoder(
        ModelConfig(encoder=encoder, embedding_size=5, **settings), shape, precision
    )


def random_inputs(shape, count=4):
    generator = np.random.default_rng(0)
    if shape.kind == "image":
        return generator.integers(0, 256, (count, *shape.shape)).astype(np.uint8)
    return generator.normal(size=(count, *shape.shape)).astype(np.float32)


def compute_gradients(encoder, x):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder(x, training=True)[:, 0])
    return tape.gradient(loss, encoder.trainable_variables)


BUILT = {
    "mlp": ("mlp", VECTORS),
    "mlp of images": ({"name": "mlp", "units": 20, "depth": 3, "dropout": 0.2}, images(4, 6, 3)),
    "cnn_small": ({"name": "cnn_small", "dropout": 0.2}, images(28, 28, 1)),
    "cnn_small of large images": ("cnn_small", images(40, 70, 3)),
    "cnn": ({"name": "cnn", "dropout": 0.2}, images(28, 28, 1)),
    "cnn of small images": ("cnn", images(8, 8, 3)),
    "cnn of narrow images": ("cnn", images(3, 20, 1)),
    "backbone": ("MobileNet", images(32, 40, 3)),
    "backbone of one channel": ("MobileNet", images(33, 32, 1)),
}


@pytest.mark.parametrize(("encoder", "shape"), BUILT.values(), ids=BUILT.keys())
def test_an_encoder_returns_unit_embeddings_and_all_weights_are_trained_and_restored(
    encoder, shape
):
    x = random_inputs(shape)
    built = make_encoder(encoder, shape)
    embedding = built(x, training=True).numpy()
    assert (embedding.shape, embedding.dtype) == ((4, 5), np.float32)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
    assert len(np.unique(embedding.round(4), axis=0)) == 4
    for gradient, variable in zip(
        compute_gradients(built, x), built.trainable_variables, strict=True
    ):
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path

    weights = [value + 0.01 for value in built.get_weights()]
    other = make_encoder(encoder, shape)
    other.set_weights(weights)
    built.set_weights(other.get_weights())
    np.testing.assert_array_equal(built(x), other(x))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_embeddings_are_float32_at_any_precision_and_the_dtype_policy_is_restored(
    precision, normalize
):
    shape = images(9, 8, 1)
    encoder = make_encoder("cnn_small", shape, precision=precision, normalize=normalize)
    assert keras.config.dtype_policy().name == "float32"
    assert encoder.layers[2].compute_dtype == precision.removeprefix("mixed_")
    assert {weight.dtype for weight in encoder.get_weights()} == {np.dtype("float32")}
    embedding = encoder(random_inputs(shape)).numpy()
    assert embedding.dtype == np.float32
    # float16 has a resolution of 2e-4 or more near 1, so lengths this close to 1 are float32.
    assert (np.abs(np.linalg.norm(embedding, axis=1) - 1).max() < 1e-6) == normalize
    full = make_encoder("cnn_small", shape, normalize=normalize)
    full.set_weights(encoder.get_weights())
    np.testing.assert_allclose(embedding, full(random_inputs(shape)), atol=0.05)


def test_the_dtype_policy_is_restored_after_an_error():
    with pytest.raises(ConfigError):
        make_encoder("builtins:print", VECTORS, precision="mixed_float16")
    assert keras.config.dtype_policy().name == "float32"


def test_an_mlp_has_the_configured_units_and_depth():
    encoder = make_encoder({"name": "mlp", "units": 7, "depth": 3}, VECTORS)
    shapes = [weight.shape for weight in encoder.get_weights()]
    assert shapes == [(6, 7), (7,), (7, 7), (7,), (7, 7), (7,), (7, 5), (5,)]


@pytest.mark.parametrize("name", ["mlp", "cnn_small", "cnn"])
def test_dropout_applies_in_training_only(name):
    shape = images(8, 8, 1)
    encoder = make_encoder({"name": name, "dropout": 0.5}, shape)
    x = random_inputs(shape)
    assert not np.array_equal(encoder(x, training=True), encoder(x, training=True))
    np.testing.assert_array_equal(encoder(x, training=False), encoder(x))
    without = make_encoder({"name": name, "dropout": 0.0}, shape)
    np.testing.assert_array_equal(without(x, training=True), without(x))


def test_the_cnn_embedding_does_not_depend_on_the_rest_of_the_batch():
    encoder = make_encoder("cnn", images(8, 8, 1))
    x = random_inputs(images(8, 8, 1))
    together = encoder(x, training=True)
    np.testing.assert_allclose(encoder(x[1:2], training=True)[0], together[1], atol=1e-5)


def test_fractional_pixel_values_are_kept():
    encoder = make_encoder("mlp", images(2, 2, 1), normalize=False)
    x = np.full((1, 2, 2, 1), 7.0, np.float32)
    assert not np.array_equal(encoder(x), encoder(x + 0.5))


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory):
    """MobileNet with statistics other than the initial ones, and the file of its weights."""
    keras.utils.set_random_seed(1)
    backbone = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    backbone(random_inputs(images(32, 32, 3)) / 127.5 - 1, training=True)
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    backbone.save_weights(path)
    return backbone, path


def test_a_pretrained_backbone_keeps_its_weights_and_statistics(backbone_file):
    backbone, path = backbone_file
    shape = images(32, 32, 1)
    encoder = make_encoder({"name": "MobileNet", "weights": str(path)}, shape)
    features = keras.Model(encoder.input, encoder.get_layer("embedding").input)
    x = random_inputs(shape)
    expected = backbone(np.repeat(x, 3, axis=3) / 127.5 - 1, training=False)
    np.testing.assert_allclose(features(x), expected, rtol=1e-4, atol=1e-5)

    before = encoder.get_weights()
    np.testing.assert_allclose(encoder(x, training=True), encoder(x), atol=1e-6)
    assert len(compute_gradients(encoder, x)) == 28 + 1  # convolutions, embedding kernel and bias
    for old, new in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_backbone_without_pretrained_weights_updates_its_statistics():
    shape = images(32, 32, 3)
    encoder = make_encoder("MobileNet", shape)
    before = encoder.get_weights()
    encoder(random_inputs(shape), training=True)
    changed = [
        not np.array_equal(old, new) for old, new in zip(before, encoder.get_weights(), strict=True)
    ]
    assert sum(changed) == 2 * 27  # mean and variance of each layer


def test_a_backbone_without_pretrained_weights_has_a_momentum_of_nine_tenths():
    shape = images(32, 32, 3)
    encoder = make_encoder("MobileNet", shape)
    x = random_inputs(shape)
    encoder(x, training=True)
    backbone = next(layer for layer in encoder.layers if isinstance(layer, keras.Model))
    first = backbone.get_layer("conv1")
    means = np.mean(keras.Model(backbone.input, first.output)(x / 127.5 - 1), axis=(0, 1, 2))
    moving_mean = backbone.get_layer("conv1_bn").moving_mean.numpy()
    np.testing.assert_allclose(moving_mean, 0.1 * means, rtol=1e-4, atol=1e-6)


def test_with_a_frozen_backbone_only_the_embedding_is_trained(backbone_file):
    _, path = backbone_file
    settings = {"name": "MobileNet", "weights": str(path), "trainable": False}
    encoder = make_encoder(settings, images(32, 32, 3))
    assert [variable.path for variable in encoder.trainable_variables] == [
        "embedding/kernel",
        "embedding/bias",
    ]


def test_weights_of_another_backbone_raise(backbone_file):
    _, path = backbone_file
    settings = {"name": "MobileNetV3Small", "weights": str(path)}
    with pytest.raises(ConfigError, match=r"mobilenet\.weights\.h5 does not fit MobileNetV3Small"):
        make_encoder(settings, images(32, 32, 3))


def test_missing_or_invalid_weight_files_raise(tmp_path):
    settings = {"name": "VGG16", "weights": str(tmp_path / "no.weights.h5")}
    with pytest.raises(ConfigError, match=r"no\.weights\.h5 does not exist.*nothing is downloaded"):
        make_encoder(settings, images(32, 32, 3))
    (tmp_path / "no.weights.h5").write_text("text")
    with pytest.raises(ConfigError, match=r"no\.weights\.h5 does not fit VGG16"):
        make_encoder(settings, images(32, 32, 3))


def test_images_too_small_for_a_backbone_raise_with_the_minimum_size():
    with pytest.raises(
        ConfigError, match=r"Xception does not accept images of 40 x 80.*at least 71x71"
    ):
        make_encoder("Xception", images(40, 80, 3))


def test_an_unknown_backbone_raises_with_suggestions():
    with pytest.raises(ConfigError, match=r"got ResNet50V3\. Did you mean .*ResNet50V2"):
        make_encoder("ResNet50V3", images(32, 32, 3))
    with pytest.raises(ConfigError, match=r"got Qqq\. Did you mean ConvNeXtBase, .*Xception"):
        make_encoder("Qqq", images(32, 32, 3))


@pytest.fixture
def custom(monkeypatch):
    """Make a function importable as ``custom:build``."""

    def install(function):
        module = types.ModuleType("custom")
        module.build = function
        monkeypatch.setitem(sys.modules, "custom", module)
        return "custom:build"

    return install


@pytest.mark.parametrize("normalize", [True, False])
def test_a_custom_encoder_receives_shape_and_size_and_returns_float32(custom, normalize):
    def build(shape, size):
        assert (shape, size) == ((6,), 5)
        return keras.Sequential([keras.Input(shape), layers.Dense(size, use_bias=False)])

    encoder = make_encoder(custom(build), VECTORS, precision="mixed_float16", normalize=normalize)
    embedding = encoder(random_inputs(VECTORS)).numpy()
    assert embedding.dtype == np.float32
    assert [weight.shape for weight in encoder.get_weights()] == [(6, 5)]
    assert np.allclose(np.linalg.norm(embedding, axis=1), 1) == normalize


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda shape, size: "a model", "must return a Keras model with one output, got str"),
        (
            lambda shape, size: keras.Sequential([keras.Input(shape), layers.Dense(size + 1)]),
            r"must return embeddings of shape \(batch, 5\), got \(None, 6\)",
        ),
    ],
)
def test_a_custom_encoder_with_a_wrong_result_raises(custom, build, message):
    with pytest.raises(ConfigError, match=f"custom:build {message}"):
        make_encoder(custom(build), VECTORS)


@pytest.mark.parametrize("name", ["no_such_module:build", "builtins:no_such_function"])
def test_a_custom_encoder_that_cannot_be_imported_raises(name):
    with pytest.raises(ConfigError, match=f"{name} cannot be imported"):
        make_encoder(name, VECTORS)
