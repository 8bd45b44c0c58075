"""Check and decode encoded images: the same pixels in training, serving, galleries and reports.

``decode_image`` is part of the graph of Transform and of the exported model. It decodes PNG and
JPEG, applies the EXIF orientation and composites transparent pixels on a background. Before it,
``prepare_image`` checks an image of any supported format, and converts to PNG what the graph does
not decode. ICC profiles are ignored.
"""

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from diptych.components.common.decoding_work import find_excessive_work
from diptych.components.common.exif_orientation import find_orientation, turn_upright
from diptych.components.common.file_types import describe_other_file, recognize_image
from diptych.components.common.image_conversion import (
    convert_file,
    describe_too_many_pixels,
    read_size,
)

if TYPE_CHECKING:
    import tensorflow as tf

GRAPH_FORMATS = ("PNG", "JPEG")
"""Formats that the graph, and so the exported model, decodes."""

WHITE = (255, 255, 255)
_PNG_SIGNATURE, _JPEG_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_SIDES_AT, _BIT_DEPTH_AT, _COLOR_TYPE_AT, _PNG_HEADER_BYTES = 16, 24, 25, 33
_ALPHA_COLOR_TYPES = (b"\4", b"\6")
# The chunks of a transparent color or palette, of the orientation, and of an animation. If the same
# bytes occur in compressed data by chance, decoding takes longer and returns the same pixels.
_TRANSPARENCY, _ORIENTATION, _ANIMATION = b"tRNS", b"eXIf", b"acTL"
_JPEG_EXIF = b"Exif\0\0"
# The same in the syntax of RE2, where \C is any byte.
_SPECIAL_PNG_PATTERN = r"\C{25}[\x04\x06]\C*|\C*(tRNS|eXIf)\C*"
_ORIENTATION_PATTERN = r"\C*(eXIf|Exif\x00\x00)\C*"
_JPEG_EXIF_PATTERN = r"\C*Exif\x00\x00\C*"
_MAX_SMALL_BITS = 14  # report 16-bit images that use at most a quarter of their range
_LOST_BITS = "the lower 8 bits of 16 are dropped"
_SEVERAL_FRAMES = "has several frames, of which the first is used"


@dataclasses.dataclass(frozen=True)
class ImageLimits:
    """Upper limits of an image, and the background of transparent pixels: red, green, blue.

    Larger images are not decoded.
    """

    max_bytes: int
    max_pixels: int
    background: tuple[int, int, int] = WHITE


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedImage:
    """A usable image.

    Attributes:
      encoded: A PNG or JPEG that the graph decodes: the original bytes, or a conversion to PNG.
      pixels: (height, width, 3) uint8, upright, on the background; ``encoded`` as decoded by
        ``decode_image``.
      findings: Observations, such as "is a single colour". Few texts are distinct.
    """

    encoded: bytes
    pixels: npt.NDArray[np.uint8]
    findings: tuple[str, ...] = ()


def decode_image(
    encoded: "tf.Tensor | bytes",
    channels: int,
    size: tuple[int, int] | None = None,
    background: tuple[int, int, int] = WHITE,
) -> "tf.Tensor":
    """Decode a PNG or JPEG, in a graph or eagerly.

    Of 16 bits per channel, the upper 8 are used.

    Args:
      encoded: () string, the bytes of the file.
      channels: 1 (grey) or 3 (RGB).
      size: Height and width to resize to with antialiasing; None keeps the size.
      background: Red, green and blue behind transparent pixels.

    Returns:
      (height, width, channels) uint8, upright.

    Raises:
      tf.errors.InvalidArgumentError: The bytes are neither a PNG nor a JPEG, or are damaged.
    """
    return _finish(_decode_rgb(encoded, background), channels, size)


def map_decoded(
    function: Callable[["tf.Tensor"], "tf.Tensor"],
    encoded: "tf.Tensor",
    channels: int,
    size: tuple[int, int],
    background: tuple[int, int, int],
    dtype: "tf.DType",
) -> "tf.Tensor":
    """Apply a function to each image of a batch, decoded as by ``decode_image``.

    For a batch of opaque images without orientation, this is as fast as TensorFlow's decoder.

    Args:
      function: Function from (height, width, channels) uint8 to a scalar of ``dtype``.
      encoded: (n,) string.
      channels: As for ``decode_image``.
      size: As for ``decode_image``.
      background: As for ``decode_image``.
      dtype: Type of the result.

    Returns:
      (n,) results.
    """
    import tensorflow as tf

    def map_with(decode: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        return tf.map_fn(
            lambda image: function(_finish(decode(image), channels, size)),
            encoded,
            fn_output_signature=dtype,
        )

    return tf.cond(
        tf.reduce_all(_are_plain(encoded)),
        lambda: map_with(_decode_plain),
        lambda: tf.cond(
            tf.reduce_any(tf.strings.regex_full_match(encoded, _ORIENTATION_PATTERN)),
            lambda: map_with(_compile_decoder(background, True)),
            lambda: map_with(_compile_decoder(background, False)),
        ),
    )


def prepare_image(encoded: bytes, limits: ImageLimits) -> PreparedImage | str:
    """Check and decode an image of any supported format, or return why it cannot be used.

    The size in the header and the work of decoding are checked first: 48 kB of PNG can decompress
    to gigabytes.
    """
    if not encoded:
        return "empty (0 bytes)"
    if len(encoded) > limits.max_bytes:
        return f"larger than {limits.max_bytes} bytes (data.max_bytes)"
    image_format = recognize_image(encoded)
    if image_format is None:
        return describe_other_file(encoded)[0]
    problem = find_excessive_work(encoded, image_format, limits.max_pixels)
    if problem is not None:
        return problem
    findings: list[str] = []
    if image_format not in GRAPH_FORMATS:
        converted = convert_file(encoded, image_format, limits.max_pixels)
        if isinstance(converted, str):
            return converted
        encoded = converted.encoded
        if converted.has_several_frames:
            findings.append(_SEVERAL_FRAMES)
    elif _ANIMATION in encoded[: encoded.find(b"IDAT")] and image_format == "PNG":
        findings.append(_SEVERAL_FRAMES)
    problem = _find_header_problem(encoded, image_format, limits.max_pixels)
    if problem is not None:
        return problem
    pixels = _decode_pixels(encoded, limits.background)
    if pixels is None:
        return f"a {image_format} that cannot be decoded"
    if _is_single_color(pixels):
        findings.append("is a single colour")
    if encoded.startswith(_PNG_SIGNATURE) and encoded[_BIT_DEPTH_AT] == 16:
        findings += _describe_small_range(encoded)
    return PreparedImage(encoded, pixels, tuple(findings))


def to_graph_format(encoded: bytes) -> bytes:
    """Return an image that ``prepare_image`` has accepted in a format that the graph decodes."""
    image_format = recognize_image(encoded)
    if image_format is None or image_format in GRAPH_FORMATS:
        return encoded  # of anything else, the graph reports an error
    converted = convert_file(encoded, image_format)
    return encoded if isinstance(converted, str) else converted.encoded


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Read at most ``max_bytes`` + 1 bytes, enough for ``prepare_image`` to reject the file."""
    # Unbuffered and at most as large as the file: half of the time that small files take.
    with open(path, "rb", buffering=0) as file:
        size = min(os.fstat(file.fileno()).st_size, max_bytes)
        return file.read(size + 1)


def _find_header_problem(encoded: bytes, image_format: str, max_pixels: int) -> str | None:
    """Return why a PNG or JPEG cannot be used, judging by its header; None if it can."""
    if encoded.startswith(_PNG_SIGNATURE):  # Pillow takes longer for the header than for the rest
        is_complete = len(encoded) >= _PNG_HEADER_BYTES and encoded[12:16] == b"IHDR"
        sides = encoded[_SIDES_AT:_BIT_DEPTH_AT]
        size = (int.from_bytes(sides[:4]), int.from_bytes(sides[4:])) if is_complete else None
    else:
        try:
            size = read_size(encoded, image_format)
        except Image.DecompressionBombError:
            return describe_too_many_pixels(max_pixels)
    if size is None:
        return f"a {image_format} that cannot be decoded"
    if not all(size):
        return "has no pixels"
    if size[0] * size[1] > max_pixels:
        return describe_too_many_pixels(max_pixels)
    return None


def _decode_pixels(
    encoded: bytes, background: tuple[int, int, int]
) -> npt.NDArray[np.uint8] | None:
    """Decode to (height, width, 3) uint8; None if the image is damaged."""
    import tensorflow as tf

    try:
        pixels: npt.NDArray[np.uint8] = _decode_rgb(encoded, background).numpy()
    except (tf.errors.InvalidArgumentError, tf.errors.InternalError, tf.errors.UnimplementedError):
        return None
    return pixels


def _decode_rgb(encoded: "tf.Tensor | bytes", background: tuple[int, int, int]) -> "tf.Tensor":
    """Decode to (height, width, 3) uint8."""
    if isinstance(encoded, bytes) and _is_plain(encoded):
        return _decode_plain(encoded)
    return _compile_decoder(background, True)(encoded)


@functools.cache
def _compile_decoder(background: tuple[int, int, int], apply_orientation: bool) -> Any:
    """Trace the decoder once: graphs call it, and eagerly it is faster than single operations."""
    import tensorflow as tf

    return tf.function(
        lambda encoded: _decode_in_graph(encoded, background, apply_orientation),
        input_signature=[tf.TensorSpec((), tf.string)],
        autograph=False,
    )


def _is_plain(encoded: bytes) -> bool:
    """Return whether TensorFlow's decoder alone returns the pixels; see also the next function."""
    if encoded.startswith(_PNG_SIGNATURE):
        has_alpha = encoded[_COLOR_TYPE_AT : _COLOR_TYPE_AT + 1] in _ALPHA_COLOR_TYPES
        return not (has_alpha or _TRANSPARENCY in encoded or _ORIENTATION in encoded)
    return encoded.startswith(_JPEG_SIGNATURE) and _JPEG_EXIF not in encoded


def _are_plain(encoded: "tf.Tensor") -> "tf.Tensor":
    """``_is_plain`` for a batch of images, in a graph."""
    import tensorflow as tf

    is_plain_png = _is_png(encoded) & ~tf.strings.regex_full_match(encoded, _SPECIAL_PNG_PATTERN)
    has_exif = tf.strings.regex_full_match(encoded, _JPEG_EXIF_PATTERN)
    return is_plain_png | (_is_jpeg(encoded) & ~has_exif)


def _is_png(encoded: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    return tf.strings.substr(encoded, 0, len(_PNG_SIGNATURE)) == _PNG_SIGNATURE


def _is_jpeg(encoded: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    return tf.strings.substr(encoded, 0, len(_JPEG_SIGNATURE)) == _JPEG_SIGNATURE


def _decode_plain(encoded: "tf.Tensor | bytes") -> "tf.Tensor":
    import tensorflow as tf

    # The operation of tf.io.decode_image, which takes twice as long for small images when eager.
    return tf.raw_ops.DecodeImage(
        contents=tf.convert_to_tensor(encoded), channels=3, dtype=tf.uint8, expand_animations=False
    )


def _decode_in_graph(
    encoded: "tf.Tensor", background: tuple[int, int, int], apply_orientation: bool
) -> "tf.Tensor":
    import tensorflow as tf

    is_png = _is_png(encoded)
    image = tf.cond(is_png, lambda: _decode_png(encoded, background), lambda: _decode_jpeg(encoded))
    if not apply_orientation:
        return image
    return tf.cond(
        tf.strings.regex_full_match(encoded, _ORIENTATION_PATTERN),
        lambda: turn_upright(image, find_orientation(encoded, is_png)),
        lambda: image,
    )


def _decode_png(encoded: "tf.Tensor", background: tuple[int, int, int]) -> "tf.Tensor":
    import tensorflow as tf

    # TensorFlow adds an alpha channel of 255 to an opaque image, but that of a grey image with less
    # than 8 bits is the largest value of its bits. With a transparent color, alpha is 0 or 255.
    rgba = tf.io.decode_png(encoded, channels=4)
    header = tf.io.decode_raw(tf.strings.substr(encoded, _BIT_DEPTH_AT, 2), tf.uint8)
    is_low_grey = (header[0] < 8) & (header[1] == 0)
    alpha = tf.where(is_low_grey & (rgba[..., 3:] > 0), tf.constant(255, tf.uint8), rgba[..., 3:])
    return _composite(rgba[..., :3], alpha, background)


def _decode_jpeg(encoded: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    message = "The image is neither a PNG nor a JPEG. Convert it to one of them."
    # decode_jpeg also decodes GIF and BMP, without transparency and with other faults.
    with tf.control_dependencies([tf.debugging.Assert(_is_jpeg(encoded), [message])]):
        return tf.io.decode_jpeg(encoded, channels=3)


def _finish(image: "tf.Tensor", channels: int, size: tuple[int, int] | None) -> "tf.Tensor":
    """Convert (height, width, 3) to the number of channels and to the size."""
    import tensorflow as tf

    image.set_shape((None, None, 3))
    if channels == 1:
        image = tf.image.rgb_to_grayscale(image)  # keeps the values of grey images exactly
    if size is None:
        return image
    # Without antialias, bilinear downscaling skips the pixels between the samples.
    resized = tf.image.resize(image, size, method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)


def _composite(
    colors: "tf.Tensor", alpha: "tf.Tensor", background: tuple[int, int, int]
) -> "tf.Tensor":
    """Composite colors on a background, rounded to the nearest integer."""
    import tensorflow as tf

    # At most 255 * 255 + 127, which uint16 can hold.
    colors, alpha = tf.cast(colors, tf.uint16), tf.cast(alpha, tf.uint16)
    behind = tf.constant(background, tf.uint16)
    return tf.cast((colors * alpha + behind * (255 - alpha) + 127) // 255, tf.uint8)


def _is_single_color(pixels: npt.NDArray[np.uint8]) -> bool:
    row: bytes = pixels[0].tobytes()  # comparing bytes is ten times as fast as comparing arrays
    return row[3:] == row[:-3] and pixels.tobytes() == row * len(pixels)


def _describe_small_range(encoded: bytes) -> list[str]:
    """Describe a 16-bit PNG whose values take up at most a quarter of the range."""
    import tensorflow as tf

    colors = tf.io.decode_png(encoded, channels=4, dtype=tf.uint16)[..., :3].numpy()
    largest, spread = int(colors.max()), int(colors.max() - colors.min())
    bits = largest.bit_length()
    if bits <= _MAX_SMALL_BITS:
        return [f"16-bit, but uses at most {bits} bits ({2**bits - 1}); {_LOST_BITS}"]
    bits = spread.bit_length()
    if bits <= _MAX_SMALL_BITS:
        return [
            f"16-bit, but its values differ by at most {2**bits - 1} ({bits} bits); {_LOST_BITS}"
        ]
    return []
