"""The EXIF orientation of an image, read by TensorFlow, so that the exported graph contains it.

Damaged EXIF data are ignored, as in browsers. Sources: ITU-T T.81, annex B (markers of JPEG); the
PNG specification, third edition, section 5 (chunks); Exif 2.3 (CIPA DC-008), sections 4.5 and 4.6.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

_MAX_STEPS = 100_000  # markers or chunks in front of the EXIF data
_MAX_EXIF_BYTES = 1 << 20  # of a PNG; the marker of a JPEG has at most 65,533
_ORIENTATION, _SHORT, _LONG = 0x0112, 3, 4  # the tag, and the types of its value


def find_orientation(encoded: "tf.Tensor", is_png: "tf.Tensor") -> "tf.Tensor":
    """Return the orientation in the first EXIF marker of a JPEG, or in the EXIF chunk of a PNG.

    Args:
      encoded: () string, the bytes of a JPEG or PNG.
      is_png: () bool.

    Returns:
      () int32 from 1 (upright) to 8; 1 without valid EXIF data.
    """
    import tensorflow as tf

    at, size = tf.cond(is_png, lambda: _find_png_chunk(encoded), lambda: _find_jpeg_marker(encoded))
    at = tf.minimum(at, tf.strings.length(encoded))
    exif = tf.strings.substr(encoded, at, tf.clip_by_value(size, 0, _MAX_EXIF_BYTES))
    # Some programs write the prefix of a JPEG's marker into a PNG as well.
    exif = tf.strings.regex_replace(exif, r"\AExif\x00\x00", "", replace_global=False)
    return _parse_orientation(exif)


def turn_upright(image: "tf.Tensor", orientation: "tf.Tensor") -> "tf.Tensor":
    """Turn and flip an image (height, width, channels) by its EXIF orientation."""
    import tensorflow as tf

    axes = tf.where(orientation >= 5, (1, 0, 2), (0, 1, 2))
    is_upside_down = tf.reduce_any(tf.equal(orientation, (3, 4, 7, 8)))
    is_mirrored = tf.reduce_any(tf.equal(orientation, (2, 3, 6, 7)))
    reversed_axes = tf.boolean_mask((0, 1), tf.stack([is_upside_down, is_mirrored]))
    upright = tf.reverse(tf.transpose(image, axes), reversed_axes)
    upright.set_shape((None, None, image.shape[2]))
    return upright


def _find_jpeg_marker(encoded: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
    """Return the position and the size of the EXIF data; the size is negative if there are none."""
    import tensorflow as tf

    length = tf.strings.length(encoded)

    def is_searching(at: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        return (size < 0) & (at + 4 <= length)

    def next_marker(at: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        header = _decode_bytes(tf.strings.substr(encoded, at, 4))
        marker, size = header[1], header[2] * 256 + header[3]
        # Bytes between segments, and fill bytes, are skipped.
        is_marker = (header[0] == 0xFF) & (marker != 0xFF) & (marker != 0)
        has_no_size = (marker == 0x01) | ((marker >= 0xD0) & (marker <= 0xD8))
        is_exif = (marker == 0xE1) & (tf.strings.substr(encoded, at + 4, 6) == b"Exif\0\0")
        is_last = (marker == 0xDA) | (marker == 0xD9) | (size < 2)  # pixels, or the end
        step = tf.where(
            ~is_marker,
            1,
            tf.where(has_no_size, 2, tf.where(is_exif, 10, tf.where(is_last, length, 2 + size))),
        )
        return at + step, tf.where(is_marker & is_exif, size - 8, -1)

    found: tuple[tf.Tensor, tf.Tensor] = tf.while_loop(
        is_searching,
        next_marker,
        (tf.constant(0), tf.constant(-1)),
        maximum_iterations=_MAX_STEPS,
    )
    return found


def _find_png_chunk(encoded: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
    """Find the EXIF data as ``_find_jpeg_marker``."""
    import tensorflow as tf

    length = tf.strings.length(encoded)

    def is_searching(at: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        return (size < 0) & (at + 8 <= length)

    def next_chunk(at: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        header = _decode_bytes(tf.strings.substr(encoded, at, 4))
        size = tf.minimum(_combine(header, 4, False), tf.cast(length, tf.int64))
        size = tf.cast(size, tf.int32)
        name = tf.strings.substr(encoded, at + 4, 4)
        is_exif = name == b"eXIf"
        # Length and name in front of the content, and a checksum after it.
        after = tf.minimum(at, length - size) + 12 + size
        after = tf.where(name == b"IEND", length, after)
        return tf.where(is_exif, at + 8, after), tf.where(is_exif, size, -1)

    found: tuple[tf.Tensor, tf.Tensor] = tf.while_loop(
        is_searching,
        next_chunk,
        (tf.constant(8), tf.constant(-1)),
        maximum_iterations=_MAX_STEPS,
    )
    return found


def _parse_orientation(exif: "tf.Tensor") -> "tf.Tensor":
    """Read the orientation from the first directory of EXIF data, which have the form of a TIFF."""
    import tensorflow as tf

    byte_order = tf.strings.substr(exif, 0, 4)
    is_little = byte_order == b"II*\0"
    is_valid = is_little | (byte_order == b"MM\0*")
    num_bytes = tf.strings.length(exif)
    # The zeros are read if the header or a truncated directory refers to bytes beyond the end.
    content = tf.concat([_decode_bytes(exif), tf.zeros([12], tf.int32)], 0)
    start = tf.minimum(_combine(content[4:8], 4, is_little), tf.cast(num_bytes, tf.int64))
    start = tf.cast(start, tf.int32)
    num_entries = tf.cast(_combine(content[start : start + 2], 2, is_little), tf.int32)
    num_entries = tf.minimum(num_entries, tf.maximum(num_bytes - start - 2, 0) // 12)
    # Tag (2 bytes), type (2), number of values (4), then the value in the first bytes of the rest.
    entries = tf.reshape(content[start + 2 : start + 2 + 12 * num_entries], [-1, 12])
    tag = _combine(entries[:, 0:2], 2, is_little)
    value_type = _combine(entries[:, 2:4], 2, is_little)
    num_values = _combine(entries[:, 4:8], 4, is_little)
    short, long = (_combine(entries[:, 8 : 8 + size], size, is_little) for size in (2, 4))
    value = tf.where(value_type == _SHORT, short, long)
    is_usable = (tag == _ORIENTATION) & (num_values == 1) & is_valid
    is_usable &= (value_type == _SHORT) | (value_type == _LONG)
    # The last one counts if there are several.
    orientation = tf.concat([[tf.constant(1, tf.int64)], value[is_usable]], 0)[-1]
    is_known = (orientation >= 1) & (orientation <= 8)
    return tf.cast(tf.where(is_known, orientation, 1), tf.int32)


def _combine(parts: "tf.Tensor", size: int, is_little: "tf.Tensor | bool") -> "tf.Tensor":
    """Combine the ``size`` bytes along the last axis to int64 numbers."""
    import tensorflow as tf

    wide = tf.cast(parts, tf.int64)
    powers = [256**index for index in range(size)]
    weights = tf.where(is_little, powers, powers[::-1])
    return tf.reduce_sum(wide * tf.cast(weights, tf.int64), axis=-1)


def _decode_bytes(text: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    return tf.cast(tf.io.decode_raw(text, tf.uint8), tf.int32)
