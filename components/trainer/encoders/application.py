"""Backbones from Keras Applications, with weights from a file or random weights."""

import difflib
import sys
from collections.abc import Callable
from pathlib import Path

import keras
from keras import layers

from diptych.schemas.config.model import Application
from diptych.schemas.errors import ConfigError

# Momentum of the moving statistics. The default of the backbones, 0.99 or 0.999, suits millions of
# steps: a short training would end before its statistics reach those of the data.
_MOMENTUM = 0.9


def build_application(inputs: keras.KerasTensor, settings: Application) -> keras.KerasTensor:
    """Apply a backbone with global average pooling.

    Images are preprocessed with the ``preprocess_input`` of the backbone; a single channel is
    repeated to three. With pretrained weights, the BatchNormalization layers keep the statistics
    and the scale of the file, because P x K batches contain a few classes each and their statistics
    are not those of the data. Everything else is trained if ``trainable``.

    Returns:
      (batch, filters of the backbone).

    Raises:
      ConfigError: If the backbone does not exist, the image is too small for it, or the weights
        are missing or do not fit.
    """
    factory = _find_application(settings.name)
    height, width, channels = inputs.shape[1:]
    try:
        # Weights are never downloaded: None initializes them randomly.
        backbone = factory(
            include_top=False, weights=None, input_shape=(height, width, 3), pooling="avg"
        )
    except ValueError as error:  # contains the minimum size
        raise ConfigError(
            f"model.encoder {settings.name} does not accept images of {height} x {width}: {error}. "
            "Increase data.size, or choose cnn_small or cnn."
        ) from error
    batch_norms = [
        layer for layer in backbone.layers if isinstance(layer, layers.BatchNormalization)
    ]
    if settings.weights:
        _load_weights(backbone, settings.name, Path(settings.weights))
        for layer in batch_norms:
            layer.trainable = False  # Keras then uses the moving statistics in training, too
    for layer in batch_norms:
        layer.momentum = _MOMENTUM
    if not settings.trainable:
        backbone.trainable = False
    x = layers.Concatenate()([inputs] * 3) if channels == 1 else inputs
    return backbone(sys.modules[factory.__module__].preprocess_input(x))


def _find_application(name: str) -> Callable[..., keras.Model]:
    applications: dict[str, Callable[..., keras.Model]] = {
        key: value
        for key, value in vars(keras.applications).items()
        if callable(value) and key[0].isupper()
    }
    if name not in applications:
        suggestions = difflib.get_close_matches(name, applications, n=3, cutoff=0.4)
        raise ConfigError(
            f"model.encoder must be the name of a backbone from Keras Applications, got {name}. "
            f"Did you mean {', '.join(suggestions or sorted(applications))}?"
        )
    return applications[name]


def _load_weights(backbone: keras.Model, name: str, path: Path) -> None:
    if not path.is_file():
        raise ConfigError(
            f"model.encoder.weights must be a .weights.h5 or .h5 file, but {path} does not exist. "
            "Correct the path; nothing is downloaded."
        )
    try:
        backbone.load_weights(path)
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"model.encoder.weights {path} does not fit {name} without its top: {error} "
            "Create the file with save_weights of the model built with include_top=False."
        ) from error
