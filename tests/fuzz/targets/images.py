"""Images: the checks before decoding, and the pixels in every graph."""

import functools
import struct
import zlib

import numpy as np

from diptych.components.common.images import (
    ImageLimits,
    PreparedImage,
    decode_image,
    map_decoded,
    prepare_image,
    to_graph_format,
)

from .scratch import check_message

LIMITS = ImageLimits(max_bytes=16_384, max_pixels=4096, background=(200, 100, 0))
TOKENS = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"acTL", b"IDAT", b"Exif\0\0", b"II*\0", b"MM\0*")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def check(data):
    """Refusals: the reason as text, returned by ``prepare_image``."""
    prepared = prepare_image(data, LIMITS)
    if isinstance(prepared, str):
        check_message(prepared)
        return
    assert isinstance(prepared, PreparedImage)
    height, width, channels = prepared.pixels.shape
    assert 1 <= height * width <= LIMITS.max_pixels and channels == 3
    for encoded in {prepared.encoded, to_graph_format(data)}:
        decoded = decode_image(encoded, 3, background=LIMITS.background).numpy()
        np.testing.assert_array_equal(decoded, prepared.pixels)
    decode_image(prepared.encoded, 1, (3, 5), LIMITS.background)
    # Alone, and with an image that takes the other path through the graph.
    for batch in ([prepared.encoded], [prepared.encoded, _oriented()]):
        assert _sums()(np.array(batch, object)).numpy()[0] == prepared.pixels.sum()


def mutate(data, max_size, seed, mutate_bytes):
    """Change one chunk of a PNG, or its pixels, and correct the checksum."""
    if seed % 4 == 0 or not data.startswith(_SIGNATURE):
        return mutate_bytes(data, max_size)
    chunks = list(_split_chunks(data))
    if not chunks:
        return mutate_bytes(data, max_size)
    index = seed // 4 % len(chunks)
    kind, content = chunks[index]
    if kind == b"IDAT" and seed % 4 == 1:
        content = zlib.compress(mutate_bytes(_inflate(content), max_size))
    elif seed % 4 == 2:
        chunks.insert(index, (kind, content))
    else:
        content = mutate_bytes(content, max_size)
    chunks[index] = kind, content
    return (_SIGNATURE + b"".join(_join_chunk(*chunk) for chunk in chunks))[:max_size]


def _split_chunks(data):
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        size, kind = struct.unpack(">I4s", data[position : position + 8])
        yield kind, data[position + 8 : position + 8 + size]
        position += 12 + size


def _join_chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", checksum)


def _inflate(content):
    try:
        return zlib.decompressobj().decompress(content, 1 << 16)
    except zlib.error:
        return b""


@functools.cache
def _sums():
    """Return a function that sums the pixels of each image of a batch, as in an exported model."""
    import tensorflow as tf

    def sums(encoded):
        def total(image):
            return tf.reduce_sum(tf.cast(image, tf.int64))

        return map_decoded(total, encoded, 3, None, LIMITS.background, tf.int64)

    return tf.function(sums, input_signature=[tf.TensorSpec((None,), tf.string)])


@functools.cache
def _oriented():
    import io

    from PIL import Image

    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (3, 2)).save(file, "PNG", exif=exif)
    return file.getvalue()
