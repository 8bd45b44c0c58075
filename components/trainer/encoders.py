"""Encoders: from one input to its embedding."""

import importlib
from collections.abc import Callable

import keras
from keras import layers

from diptych.schemas.errors import ConfigError
from diptych.schemas.model import Model
from diptych.schemas.shards import InputShape


def build_encoder(settings: Model, shape: InputShape) -> keras.Model:
    """The encoder that the configuration asks for.

    Returns:
      A model from (batch, *shape), uint8 or float32, to (batch, embedding_size) float32; of
      length 1 if ``settings.normalize``.

    Raises:
      ConfigError: the user's own function cannot be imported, or does not return what it should.
    """
    default = {"image": "cnn_small", "vector": "mlp"}[shape.kind]
    name = settings.encoder.name if settings.encoder else default
    dtype = "uint8" if shape.kind == "image" else "float32"
    inputs = keras.Input(shape.shape, dtype=dtype, name="x")
    if ":" in name:
        body = _own_encoder(name)(shape.shape, settings.embedding_size)
        if not isinstance(body, keras.Model) or len(body.outputs) != 1:
            raise ConfigError(
                f"model.encoder {name} must return a Keras model with one output, "
                f"got {type(body).__name__}."
            )
        embedding = body(inputs)
    elif name == "cnn_small":
        embedding = _cnn_small(inputs, settings.embedding_size)
    else:
        embedding = _mlp(inputs, shape, settings.embedding_size)
    if tuple(embedding.shape) != (None, settings.embedding_size):
        raise ConfigError(
            f"model.encoder {name} must return embeddings of shape "
            f"(batch, {settings.embedding_size}), got {tuple(embedding.shape)}."
        )
    if settings.normalize:
        embedding = layers.UnitNormalization(axis=-1, dtype="float32")(embedding)
    return keras.Model(inputs, embedding, name="encoder")


def _cnn_small(inputs: keras.KerasTensor, size: int) -> keras.KerasTensor:
    """Three 3 x 3 convolutions with pooling; further pooling until the map is at most 8 wide."""
    x = layers.Rescaling(1 / 255)(inputs)
    filters = 16
    while True:
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        if max(x.shape[1:3]) <= 8:
            break
        x = layers.MaxPooling2D(padding="same")(x)
        filters = min(2 * filters, 128)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    return layers.Dense(size)(x)


def _mlp(inputs: keras.KerasTensor, shape: InputShape, size: int) -> keras.KerasTensor:
    """Two hidden layers of 256."""
    x = inputs
    if shape.kind == "image":
        x = layers.Flatten()(layers.Rescaling(1 / 255)(x))
    for _ in range(2):
        x = layers.Dense(256, activation="relu")(x)
    return layers.Dense(size)(x)


def _own_encoder(path: str) -> Callable[[tuple[int, ...], int], keras.Model]:
    module_name, _, function_name = path.partition(":")
    try:
        return getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"model.encoder {path} cannot be imported: {error}. It must be importable from where "
            "diptych runs, as package.module:function."
        ) from error
