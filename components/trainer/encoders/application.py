"""Backbones of Keras Applications, with weights from a file or none."""

import difflib
import sys
from collections.abc import Callable
from pathlib import Path

import keras
from keras import layers

from diptych.schemas.config.model import Application
from diptych.schemas.errors import ConfigError

# Of the statistics that are gathered. That of the backbones, 0.99 or 0.999, is meant for millions
# of steps: a short training would end before its statistics are those of the data.
_MOMENTUM = 0.9


def application(inputs: keras.KerasTensor, settings: Application) -> keras.KerasTensor:
    """The means of the backbone's last maps.

    The image is given as the backbone wants it, by its own ``preprocess_input``; one channel is
    repeated to three. Where there are weights, the BatchNormalization layers keep the statistics
    and the scale of the file: those of P x K batches, some classes at a time, are not those of
    the data. All else learns, if ``trainable``.

    Returns:
      (batch, filters of the backbone).

    Raises:
      ConfigError: there is no backbone of this name, the image is too small for it, or the
        weights are not there or do not fit.
    """
    function = _function(settings.name)
    height, width, channels = inputs.shape[1:]
    try:
        # Weights are never downloaded: None starts from random ones.
        backbone = function(
            include_top=False, weights=None, input_shape=(height, width, 3), pooling="avg"
        )
    except ValueError as error:  # Keras says how large it must be
        raise ConfigError(
            f"model.encoder {settings.name} cannot take images of {height} x {width}: {error}. "
            "Raise data.size, or choose cnn_small or cnn."
        ) from error
    normalizations = [
        layer for layer in backbone.layers if isinstance(layer, layers.BatchNormalization)
    ]
    if settings.weights:
        _load(backbone, settings.name, Path(settings.weights))
        for layer in normalizations:
            layer.trainable = False  # to Keras: with its own statistics, in training too
    for layer in normalizations:
        layer.momentum = _MOMENTUM
    if not settings.trainable:
        backbone.trainable = False
    x = layers.Concatenate()([inputs] * 3) if channels == 1 else inputs
    return backbone(sys.modules[function.__module__].preprocess_input(x))


def _function(name: str) -> Callable[..., keras.Model]:
    every: dict[str, Callable[..., keras.Model]] = {
        key: value
        for key, value in vars(keras.applications).items()
        if callable(value) and key[0].isupper()
    }
    if name not in every:
        near = difflib.get_close_matches(name, every, n=3, cutoff=0.4) or sorted(every)
        raise ConfigError(
            f"model.encoder needs the name of a backbone of Keras Applications, got {name}. "
            f"Did you mean {', '.join(near)}?"
        )
    return every[name]


def _load(backbone: keras.Model, name: str, path: Path) -> None:
    if not path.is_file():
        raise ConfigError(
            f"model.encoder.weights needs a .weights.h5 or .h5 file, and {path} is not there. "
            "Correct the path; nothing is downloaded."
        )
    try:
        backbone.load_weights(path)
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"model.encoder.weights {path} does not fit {name} without its top: {error} "
            "Save them with save_weights of the model made with include_top=False."
        ) from error
