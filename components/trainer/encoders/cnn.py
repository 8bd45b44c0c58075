"""Convolutional networks that are trained from scratch."""

import keras
from keras import layers

from diptych.schemas.config.model import Cnn, CnnSmall

# Filters and maximum kernel size of each stage; a kernel is never larger than its feature map.
_STAGES = ((64, 7), (128, 5), (256, 3), (512, 3))
_NUM_GROUPS = 16  # of the group normalization


def build_cnn_small(inputs: keras.KerasTensor, settings: CnnSmall) -> keras.KerasTensor:
    """Apply 3 x 3 convolutions with pooling until the feature map is at most 8 x 8.

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


def build_cnn(inputs: keras.KerasTensor, settings: Cnn) -> keras.KerasTensor:
    """Apply four convolutions with decreasing kernels and increasing filters, with pooling.

    Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", ICML
    Deep Learning Workshop 2015, figure 4. Differences: kernels of 7, 5, 3 and 3 instead of 10, 7, 4
    and 4, which were designed for 105 x 105 and do not fit small images; "same" padding, so that
    images of 8 x 8 work; 512 filters at the end with global average pooling instead of 4,096 units;
    and group normalization, which a network of this depth needs to train quickly and which, unlike
    batch normalization, does not depend on the rest of the batch or on the number of workers. Wu
    & He, "Group Normalization", ECCV 2018.

    Returns:
      (batch, 512).
    """
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    for stage, (filters, max_kernel_size) in enumerate(_STAGES):
        if stage:
            x = layers.MaxPooling2D(padding="same")(x)
        kernel_size = (min(max_kernel_size, *x.shape[1:3]) - 1) | 1  # odd
        x = layers.Conv2D(filters, kernel_size, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.GroupNormalization(_NUM_GROUPS)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dropout(settings.dropout)(x)
