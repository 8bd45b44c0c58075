"""Convolutions that are trained from scratch."""

import keras
from keras import layers

from diptych.schemas.config.model import Cnn, CnnSmall

# Filters and the side of the kernel, which is at most that of what it is laid on.
_STAGES = ((64, 7), (128, 5), (256, 3), (512, 3))
_GROUPS = 16  # of filters that are normalised together


def cnn_small(inputs: keras.KerasTensor, settings: CnnSmall) -> keras.KerasTensor:
    """Three 3 x 3 convolutions with pooling; further pooling until the map is at most 8 wide.

    Returns:
      (batch, 128).
    """
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
    return layers.Dropout(settings.dropout)(x)


def cnn(inputs: keras.KerasTensor, settings: Cnn) -> keras.KerasTensor:
    """Four convolutions with falling kernels and rising filters, pooling between them.

    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", ICML
    Deep Learning Workshop 2015, figure 4. Changes: kernels of 7, 5, 3 and 3 for 10, 7, 4 and 4,
    which were meant for 105 x 105 and do not fit into small images; the maps keep their size, so
    that images of 8 x 8 do; 512 filters at the end and their means in place of 4,096 units; and
    group normalisation, which a network of this depth needs to learn quickly, and which, unlike
    that of a batch, does not depend on what else is in the batch or on the number of workers. Wu
    & He, "Group Normalization", ECCV 2018.

    Returns:
      (batch, 512).
    """
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    for stage, (filters, largest) in enumerate(_STAGES):
        if stage:
            x = layers.MaxPooling2D(padding="same")(x)
        kernel = (min(largest, *x.shape[1:3]) - 1) | 1  # odd
        x = layers.Conv2D(filters, kernel, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.GroupNormalization(_GROUPS)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dropout(settings.dropout)(x)
