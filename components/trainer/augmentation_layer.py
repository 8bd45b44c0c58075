"""Turns examples into the views that were drawn for them, inside the graph."""

from typing import Any

import keras
import tensorflow as tf


class Augment(keras.layers.Layer):
    """Applies what ``Augmenter.draw`` drew; at float32 under any precision.

    Call arguments:
      x: (n, height, width, channels) images, or (n, d) vectors; of any type.
      drawn: (n, width) float32, see ``Augmenter.draw``; a width of 0 changes nothing.

    Returns:
      As x, float32, in the range of x. What lies outside of an image repeats its edge.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(dtype="float32", **options)

    def call(self, x: Any, drawn: Any) -> Any:
        x = tf.cast(x, tf.float32)
        if drawn.shape[1] == 0:
            return x
        if len(x.shape) == 2:
            return x + drawn
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=x,
            transforms=drawn,
            output_shape=tf.shape(x)[1:3],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
