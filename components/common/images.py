"""Check and decode encoded images, the same way in training and in serving.

``tf.io.decode_image`` with ``channels=1`` fails on GIF, BMP and CMYK JPEG, and with ``channels=0``
it returns 1 to 4 channels. With ``channels=3`` it decodes every format, so grey images are decoded
to three channels and converted.
"""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import tensorflow as tf

# Detected by content, not by file extension. MPO is a JPEG followed by further images.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")


def decode_image(
    encoded: "tf.Tensor", channels: int, size: tuple[int, int] | None = None
) -> "tf.Tensor":
    """Decode a PNG, JPEG, GIF (first frame) or BMP, in a graph or eagerly.

    Args:
      encoded: () string, the bytes of the file.
      channels: 1 (grey) or 3 (RGB); transparency is discarded.
      size: Height and width to resize to with antialiasing; None keeps the size.

    Returns:
      (height, width, channels) uint8.

    Raises:
      tf.errors.InvalidArgumentError: The bytes are not an image, or are damaged.
    """
    import tensorflow as tf

    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape((None, None, 3))
    if channels == 1:
        image = tf.image.rgb_to_grayscale(image)  # keeps the values of grey images exactly
    if size is None:
        return image
    # Without antialias, bilinear downscaling skips the pixels between the samples.
    resized = tf.image.resize(image, size, method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Read at most ``max_bytes`` + 1 bytes, enough for ``find_image_error`` to reject the file."""
    with path.open("rb") as file:
        return file.read(max_bytes + 1)


def find_image_error(encoded: bytes, max_bytes: int, max_pixels: int) -> str | None:
    """Describe why an image cannot be used; None if the graph of the model can decode it.

    The size in the header is checked before decoding: 48 kB of PNG can decompress to gigabytes.
    """
    if not encoded:
        return "empty (0 bytes)"
    if len(encoded) > max_bytes:
        return f"larger than {max_bytes} bytes (data.max_bytes)"
    too_many = f"more than {max_pixels} pixels (data.max_pixels)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decompression bomb warning: max_pixels is stricter
            with Image.open(io.BytesIO(encoded), formats=_FORMATS) as header:
                image_format, (width, height) = header.format, header.size
    except Image.DecompressionBombError:
        return too_many
    except Exception:  # damaged headers raise many exception types
        return "not a PNG, JPEG, GIF or BMP by its content"
    if width < 1 or height < 1:
        return "has no pixels"
    if width * height > max_pixels:
        return too_many
    if image_format == "GIF" and _count_gif_pixels(encoded) > max_pixels:
        return f"{too_many} in all its frames"  # TensorFlow decodes all frames at once
    image_format = "JPEG" if image_format == "MPO" else image_format
    import tensorflow as tf

    try:
        decoded = decode_image(encoded, channels=3).numpy()
    except (tf.errors.InvalidArgumentError, tf.errors.InternalError, tf.errors.UnimplementedError):
        return f"a {image_format} that cannot be decoded"
    if decoded.shape[:2] != (height, width):
        return f"a {image_format} whose header does not match its pixels"
    if image_format == "BMP" and not _matches_pillow(encoded, decoded):
        return "a BMP with a palette or compression, which TensorFlow decodes incorrectly; use PNG"
    return None


def _matches_pillow(encoded: bytes, decoded: np.ndarray) -> bool:
    try:
        with Image.open(io.BytesIO(encoded), formats=("BMP",)) as image:
            return bool(np.array_equal(np.asarray(image.convert("RGB")), decoded))
    except Exception:
        return False


def _count_gif_pixels(encoded: bytes) -> int:
    """Count the pixels of all frames of a GIF from its block headers, without decoding.

    Counting stops at damaged data, where decoding stops as well.
    """
    # Pillow's n_frames ignores the size of the frames, and its seek() composes each frame on the
    # full canvas: 40 frames of one pixel, 620 bytes, take seconds.
    total = 0
    try:
        at = 13 + _color_table_bytes(encoded[10])
        while encoded[at] != 0x3B:  # the trailer
            if encoded[at] == 0x21:  # extension: label, then data blocks
                at += 2
            elif encoded[at] == 0x2C:  # frame: position, size, flags, color table, then data blocks
                width = int.from_bytes(encoded[at + 5 : at + 7], "little")
                height = int.from_bytes(encoded[at + 7 : at + 9], "little")
                total += width * height
                at += 10 + _color_table_bytes(encoded[at + 9]) + 1
            else:
                break
            while encoded[at]:
                at += encoded[at] + 1
            at += 1
    except IndexError:
        pass
    return total


def _color_table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
