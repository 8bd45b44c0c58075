"""Fully connected layers."""

import keras
from keras import layers

from diptych.schemas.config.model import Mlp


def mlp(inputs: keras.KerasTensor, settings: Mlp) -> keras.KerasTensor:
    """``depth`` layers of ``units``, each with dropout; the pixels of an image are flattened.

    Returns:
      (batch, units).
    """
    x = inputs
    if len(x.shape) == 4:
        x = layers.Flatten()(layers.Rescaling(1 / 255)(x))
    for _ in range(settings.depth):
        x = layers.Dense(settings.units, activation="relu")(x)
        x = layers.Dropout(settings.dropout)(x)
    return x
