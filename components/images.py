"""How an encoded image becomes pixels: one function, for checking, training and serving.

``tf.io.decode_image`` asked for 1 channel fails on GIF, BMP and CMYK JPEG, and asked for "as
they are" gives 1, 2, 3 or 4. Asked for 3 it takes every format, so grey is made from three.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def decode_image(
    encoded: "tf.Tensor", channels: int, size: tuple[int, int] | None = None
) -> "tf.Tensor":
    """Decodes one PNG, JPEG, GIF (its first frame) or BMP, in a graph or eagerly.

    Args:
      encoded: () string, the bytes of the file.
      channels: 1 (grey) or 3 (red, green, blue); transparency is dropped.
      size: height and width to resize to, averaging over the pixels that fall together;
        None leaves the size as it is.

    Returns:
      (height, width, channels) uint8.

    Raises:
      tf.errors.InvalidArgumentError: the bytes are not an image, or are damaged.
    """
    import tensorflow as tf

    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape((None, None, 3))
    if channels == 1:
        image = tf.image.rgb_to_grayscale(image)  # leaves grey values exactly as they were
    if size is None:
        return image
    # Bilinear with antialias: without it, shrinking skips the pixels between the samples.
    resized = tf.image.resize(image, size, method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)
