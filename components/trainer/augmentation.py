"""New views of training images: small shifts, rotations and zooms."""

import numpy as np
import tensorflow as tf

from diptych.schemas.shards import InputShape
from diptych.schemas.training import Augmentation as Settings

_SHIFT = 0.1  # of the height and width, to either side
_ROTATION = 0.2  # radians, to either side: 11 degrees
_ZOOM = 0.1  # smaller or larger


def random_views(generator: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    """Affine transforms about the centre of the image, one for each of ``count`` images.

    Drawn outside the graph from a generator that is a function of the batch, so that a batch has
    the same views on whatever worker it is trained.

    Returns:
      (count, 8) float32, as ``view`` takes them: output pixel (x, y) is read at
      (a0 x + a1 y + a2, b0 x + b1 y + b2).
    """
    angle = generator.uniform(-_ROTATION, _ROTATION, count)
    scale = 1 + generator.uniform(-_ZOOM, _ZOOM, (2, count))
    shift = generator.uniform(-_SHIFT, _SHIFT, (2, count)) * [[width], [height]]
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    a0, a1 = np.cos(angle) * scale[0], -np.sin(angle) * scale[0]
    b0, b1 = np.sin(angle) * scale[1], np.cos(angle) * scale[1]
    a2 = centre_x - a0 * centre_x - a1 * centre_y + shift[0]
    b2 = centre_y - b0 * centre_x - b1 * centre_y + shift[1]
    zero = np.zeros(count)
    return np.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1).astype(np.float32)


def view(images: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Images seen through their transforms; what lies outside repeats the edge.

    Args:
      images: (n, height, width, channels) uint8 or float.
      transforms: (n, 8), see ``random_views``.

    Returns:
      (n, height, width, channels) float32, in the range of the input.
    """
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=transforms,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


class Augmentation:
    """New views of training examples: drawn outside the graph, applied inside."""

    def __init__(self, settings: Settings, shape: InputShape) -> None:
        self._on = settings.of != "none" and shape.kind == "image"
        self._shape = shape
        self.width = 8 if self._on else 0  # of what is drawn for an example

    def draw(
        self,
        generator: np.random.Generator,
        x: np.ndarray,
        classes: np.ndarray,
        repeats: np.ndarray,
    ) -> np.ndarray:
        """(n, width) float32."""
        if not self._on:
            return np.zeros((len(x), 0), np.float32)
        height, width, _ = self._shape.shape
        return random_views(generator, len(x), height, width)

    def __call__(self, x: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        """The examples as seen through what was drawn for them."""
        return view(x, drawn)
