"""Encoders as they are built, with a gradient of each."""

import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from diptych.components.trainer.encoders import build_encoder
from diptych.schemas.config.model import Model
from diptych.schemas.errors import ConfigError
from diptych.schemas.shards import InputShape

VECTORS = InputShape(kind="vector", shape=(6,))


def images(height, width, channels):
    return InputShape(kind="image", shape=(height, width, channels))


def encoder_of(encoder, shape, **settings):
    precision = settings.pop("precision", "float32")
    return build_encoder(Model(encoder=encoder, embedding_size=5, **settings), shape, precision)


def some(shape, count=4):
    generator = np.random.default_rng(0)
    if shape.kind == "image":
        return generator.integers(0, 256, (count, *shape.shape)).astype(np.uint8)
    return generator.normal(size=(count, *shape.shape)).astype(np.float32)


def gradients(encoder, x):
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
def test_an_encoder_makes_unit_embeddings_learns_everywhere_and_takes_its_weights_back(
    encoder, shape
):
    x = some(shape)
    built = encoder_of(encoder, shape)
    embedding = built(x, training=True).numpy()
    assert (embedding.shape, embedding.dtype) == ((4, 5), np.float32)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
    assert len(np.unique(embedding.round(4), axis=0)) == 4
    for gradient, variable in zip(gradients(built, x), built.trainable_variables, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path

    weights = [value + 0.01 for value in built.get_weights()]
    other = encoder_of(encoder, shape)
    other.set_weights(weights)
    built.set_weights(other.get_weights())
    np.testing.assert_array_equal(built(x), other(x))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_embeddings_are_float32_at_any_precision_and_the_precision_ends_with_the_building(
    precision, normalize
):
    shape = images(9, 8, 1)
    encoder = encoder_of("cnn_small", shape, precision=precision, normalize=normalize)
    assert keras.config.dtype_policy().name == "float32"
    assert encoder.layers[2].compute_dtype == precision.removeprefix("mixed_")
    assert {weight.dtype for weight in encoder.get_weights()} == {np.dtype("float32")}
    embedding = encoder(some(shape)).numpy()
    assert embedding.dtype == np.float32
    # A float16 has steps of 2e-4 or more near 1: lengths as near to 1 as this are of float32.
    assert (np.abs(np.linalg.norm(embedding, axis=1) - 1).max() < 1e-6) == normalize
    full = encoder_of("cnn_small", shape, normalize=normalize)
    full.set_weights(encoder.get_weights())
    np.testing.assert_allclose(embedding, full(some(shape)), atol=0.05)


def test_the_precision_ends_with_a_building_that_fails_too():
    with pytest.raises(ConfigError):
        encoder_of("builtins:print", VECTORS, precision="mixed_float16")
    assert keras.config.dtype_policy().name == "float32"


def test_an_mlp_has_the_units_and_layers_that_are_asked_for():
    encoder = encoder_of({"name": "mlp", "units": 7, "depth": 3}, VECTORS)
    shapes = [weight.shape for weight in encoder.get_weights()]
    assert shapes == [(6, 7), (7,), (7, 7), (7,), (7, 7), (7,), (7, 5), (5,)]


@pytest.mark.parametrize("name", ["mlp", "cnn_small", "cnn"])
def test_dropout_is_for_training_only(name):
    shape = images(8, 8, 1)
    encoder = encoder_of({"name": name, "dropout": 0.5}, shape)
    x = some(shape)
    assert not np.array_equal(encoder(x, training=True), encoder(x, training=True))
    np.testing.assert_array_equal(encoder(x, training=False), encoder(x))
    without = encoder_of({"name": name, "dropout": 0.0}, shape)
    np.testing.assert_array_equal(without(x, training=True), without(x))


def test_the_cnn_takes_an_example_the_same_whatever_else_is_in_the_batch():
    encoder = encoder_of("cnn", images(8, 8, 1))
    x = some(images(8, 8, 1))
    together = encoder(x, training=True)
    np.testing.assert_allclose(encoder(x[1:2], training=True)[0], together[1], atol=1e-5)


def test_fractions_of_pixels_count():
    encoder = encoder_of("mlp", images(2, 2, 1), normalize=False)
    whole = np.full((1, 2, 2, 1), 7.0, np.float32)
    assert not np.array_equal(encoder(whole), encoder(whole + 0.5))


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory):
    """Weights of a MobileNet whose statistics are not those of a new one."""
    keras.utils.set_random_seed(1)
    backbone = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    backbone(some(images(32, 32, 3)) / 127.5 - 1, training=True)
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    backbone.save_weights(path)
    return backbone, path


def test_a_backbone_has_the_weights_of_the_file_and_keeps_its_statistics(backbone_file):
    backbone, path = backbone_file
    shape = images(32, 32, 1)
    encoder = encoder_of({"name": "MobileNet", "weights": str(path)}, shape)
    features = keras.Model(encoder.input, encoder.get_layer("embedding").input)
    x = some(shape)
    expected = backbone(np.repeat(x, 3, axis=3) / 127.5 - 1, training=False)
    np.testing.assert_allclose(features(x), expected, rtol=1e-4, atol=1e-5)

    before = encoder.get_weights()
    np.testing.assert_allclose(encoder(x, training=True), encoder(x), atol=1e-6)
    assert len(gradients(encoder, x)) == 28 + 1  # the convolutions, and both of the embedding
    for old, new in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_without_a_file_a_backbone_gathers_statistics():
    shape = images(32, 32, 3)
    encoder = encoder_of("MobileNet", shape)
    before = encoder.get_weights()
    encoder(some(shape), training=True)
    changed = [
        not np.array_equal(old, new) for old, new in zip(before, encoder.get_weights(), strict=True)
    ]
    assert sum(changed) == 2 * 27  # mean and variance of each


def test_a_backbone_without_a_file_learns_its_statistics_in_tens_of_steps_not_in_thousands():
    shape = images(32, 32, 3)
    encoder = encoder_of("MobileNet", shape)
    x = some(shape)
    encoder(x, training=True)
    backbone = next(layer for layer in encoder.layers if isinstance(layer, keras.Model))
    first = backbone.get_layer("conv1")
    means = np.mean(keras.Model(backbone.input, first.output)(x / 127.5 - 1), axis=(0, 1, 2))
    moved = backbone.get_layer("conv1_bn").moving_mean.numpy()
    np.testing.assert_allclose(moved, 0.1 * means, rtol=1e-4, atol=1e-6)


def test_a_frozen_backbone_leaves_the_embedding_to_learn(backbone_file):
    _, path = backbone_file
    settings = {"name": "MobileNet", "weights": str(path), "trainable": False}
    encoder = encoder_of(settings, images(32, 32, 3))
    assert [variable.path for variable in encoder.trainable_variables] == [
        "embedding/kernel",
        "embedding/bias",
    ]


def test_weights_of_another_backbone_do_not_fit(backbone_file):
    _, path = backbone_file
    settings = {"name": "MobileNetV3Small", "weights": str(path)}
    with pytest.raises(ConfigError, match=r"mobilenet\.weights\.h5 does not fit MobileNetV3Small"):
        encoder_of(settings, images(32, 32, 3))


def test_weights_that_are_not_there_or_are_none_are_named(tmp_path):
    settings = {"name": "VGG16", "weights": str(tmp_path / "no.weights.h5")}
    with pytest.raises(ConfigError, match=r"no\.weights\.h5 is not there.*nothing is downloaded"):
        encoder_of(settings, images(32, 32, 3))
    (tmp_path / "no.weights.h5").write_text("text")
    with pytest.raises(ConfigError, match=r"no\.weights\.h5 does not fit VGG16"):
        encoder_of(settings, images(32, 32, 3))


def test_images_too_small_for_a_backbone_are_told_its_smallest():
    with pytest.raises(
        ConfigError, match=r"Xception cannot take images of 40 x 80.*at least 71x71"
    ):
        encoder_of("Xception", images(40, 80, 3))


def test_an_unknown_backbone_is_told_those_of_near_names():
    with pytest.raises(ConfigError, match=r"got ResNet50V3\. Did you mean .*ResNet50V2"):
        encoder_of("ResNet50V3", images(32, 32, 3))
    with pytest.raises(ConfigError, match=r"got Qqq\. Did you mean ConvNeXtBase, .*Xception"):
        encoder_of("Qqq", images(32, 32, 3))


@pytest.fixture
def own(monkeypatch):
    """Makes a function importable as ``own:build``."""

    def put(function):
        module = types.ModuleType("own")
        module.build = function
        monkeypatch.setitem(sys.modules, "own", module)
        return "own:build"

    return put


@pytest.mark.parametrize("normalize", [True, False])
def test_an_encoder_of_the_users_own_is_given_shape_and_size_and_makes_float32(own, normalize):
    def build(shape, size):
        assert (shape, size) == ((6,), 5)
        return keras.Sequential([keras.Input(shape), layers.Dense(size, use_bias=False)])

    encoder = encoder_of(own(build), VECTORS, precision="mixed_float16", normalize=normalize)
    embedding = encoder(some(VECTORS)).numpy()
    assert embedding.dtype == np.float32
    assert [weight.shape for weight in encoder.get_weights()] == [(6, 5)]
    assert np.allclose(np.linalg.norm(embedding, axis=1), 1) == normalize


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda shape, size: "a model", "must return a Keras model with one output, got str"),
        (
            lambda shape, size: keras.Sequential([keras.Input(shape), layers.Dense(size + 1)]),
            r"must return embeddings of shape \(batch, 5\), got \(None, 6\)",
        ),
    ],
)
def test_an_encoder_of_the_users_own_that_does_not_fit_is_named(own, build, says):
    with pytest.raises(ConfigError, match=f"own:build {says}"):
        encoder_of(own(build), VECTORS)


@pytest.mark.parametrize("name", ["no_such_module:build", "builtins:no_such_function"])
def test_an_encoder_that_cannot_be_imported_is_named(name):
    with pytest.raises(ConfigError, match=f"{name} cannot be imported"):
        encoder_of(name, VECTORS)
