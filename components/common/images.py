"""Encoded images: which can be used, and how they become pixels, in training and in serving.

``tf.io.decode_image`` asked for 1 channel fails on GIF, BMP and CMYK JPEG, and asked for "as
they are" gives 1, 2, 3 or 4. Asked for 3 it takes every format, so grey is made from three.
"""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import tensorflow as tf

# By content; the ending of a file says nothing. MPO is a JPEG with further pictures behind.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")


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


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Reads a file; of one that is too large, as much as lets ``find_fault`` tell."""
    with path.open("rb") as file:
        # One byte more tells that it is too large, without reading the rest.
        return file.read(max_bytes + 1)


def find_fault(encoded: bytes, max_bytes: int, max_pixels: int) -> str | None:
    """Says why an image cannot be used; None if it decodes in the graph of the model.

    Nothing is decoded before the header says that it is small enough: 48 kB of PNG can
    unfold to gigabytes.
    """
    if not encoded:
        return "empty (0 bytes)"
    if len(encoded) > max_bytes:
        return f"larger than {max_bytes} bytes (data.max_bytes)"
    too_many = f"more than {max_pixels} pixels (data.max_pixels)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's bomb warning: the bound below is stricter
            with Image.open(io.BytesIO(encoded), formats=_FORMATS) as header:
                kind, (width, height) = header.format, header.size
    except Image.DecompressionBombError:
        return too_many
    except Exception:  # Pillow raises nearly anything on a damaged header
        return "not a PNG, JPEG, GIF or BMP by its content"
    if width < 1 or height < 1:
        return "has no pixels"
    if width * height > max_pixels:
        return too_many
    if kind == "GIF" and _gif_pixels(encoded) > max_pixels:  # all frames are unpacked at once
        return f"{too_many} in all its frames"
    kind = "JPEG" if kind == "MPO" else kind
    import tensorflow as tf

    try:
        decoded = decode_image(encoded, channels=3).numpy()
    except (tf.errors.InvalidArgumentError, tf.errors.InternalError, tf.errors.UnimplementedError):
        return f"a {kind} that cannot be decoded"
    if decoded.shape[:2] != (height, width):
        return f"a {kind} whose header does not fit its pixels"
    if kind == "BMP" and not _as_pillow_sees(encoded, decoded):
        return "a BMP with a palette or compression, which TensorFlow decodes wrongly; use PNG"
    return None


def _as_pillow_sees(encoded: bytes, decoded: np.ndarray) -> bool:
    try:
        with Image.open(io.BytesIO(encoded), formats=("BMP",)) as image:
            return bool(np.array_equal(np.asarray(image.convert("RGB")), decoded))
    except Exception:
        return False


def _gif_pixels(encoded: bytes) -> int:
    """Pixels of all frames of a GIF by its block headers; decodes nothing.

    A damaged GIF gives what was counted up to there: its decoding stops there too.
    """
    total = 0
    try:
        at = 13 + _color_table(encoded[10])
        while encoded[at] != 0x3B:  # the trailer
            if encoded[at] == 0x21:  # an extension: its label, then blocks
                at += 2
            elif encoded[at] == 0x2C:  # a frame: place, size, flags, colours, then blocks
                width = int.from_bytes(encoded[at + 5 : at + 7], "little")
                height = int.from_bytes(encoded[at + 7 : at + 9], "little")
                total += width * height
                at += 10 + _color_table(encoded[at + 9]) + 1
            else:
                break
            while encoded[at]:
                at += encoded[at] + 1
            at += 1
    except IndexError:
        pass
    return total


def _color_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
