"""Fully connected layers."""

import keras
from keras import layers

from diptych.schemas.config.model import Mlp


def build_mlp(inputs: keras.KerasTensor, settings: Mlp) -> keras.KerasTensor:
    """Apply ``depth`` dense layers of ``units``, each with dropout; images are flattened.

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
