"""Keras layer that applies sampled augmentations inside the graph."""

from typing import Any

import keras
import tensorflow as tf


class AugmentationLayer(keras.layers.Layer):
    """Apply the augmentations that ``Augmenter.sample`` returns.

    Computed in float32 under every dtype policy.

    Call arguments:
      x: (n, height, width, channels) images, or (n, d) vectors; of any dtype.
      noise: (n, noise_size) float32, see ``Augmenter.sample``; a size of 0 changes nothing.

    Returns:
      float32 of the same shape and range as x. Pixels outside of an image repeat its edge.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)

    def call(self, x: Any, noise: Any) -> Any:
        x = tf.cast(x, tf.float32)
        if noise.shape[1] == 0:
            return x
        if len(x.shape) == 2:
            return x + noise
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=x,
            transforms=noise,
            output_shape=tf.shape(x)[1:3],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
