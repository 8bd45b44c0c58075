"""Images: bounded by size on disk and by header before anything is decoded, then really decoded."""

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from diptych.components.example_gen.chunk import Chunk, bytes_feature, content_ids, lists_of
from diptych.components.images import decode_image
from diptych.schemas.config import ImageFolder, Split
from diptych.schemas.inputs import ID, IMAGE, LABEL, SOURCE

# By content; the ending of a file says nothing. MPO is a JPEG with further pictures behind.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")


def read_images(root: Path, names: Sequence[str], data: ImageFolder, split: Split) -> Chunk:
    """Reads and checks image files; the label is the folder.

    Args:
      root: the data folder.
      names: paths inside it, with ``/``.
      data: the bounds.
      split: by example, the key is the id; by class, the label.
    """
    images, labels, sources, rejected = [], [], [], []
    for name in names:
        try:
            encoded = _read_bounded(root / name, data.max_bytes)
        except OSError as error:
            rejected.append((name, f"cannot be read: {error.strerror}"))
            continue
        reason = find_fault(encoded, data.max_bytes, data.max_pixels)
        if reason is not None:
            rejected.append((name, reason))
            continue
        images.append(encoded)
        labels.append(os.path.dirname(name).encode())
        sources.append(name)
    return image_chunk(images, labels, sources, rejected, labels if split.by == "class" else None)


def image_chunk(
    images: Sequence[bytes],
    labels: Sequence[bytes],
    sources: Sequence[str],
    rejected: Sequence[tuple[str, str]],
    keys: Sequence[bytes] | None,
    ids: Sequence[str] | None = None,
) -> Chunk:
    """Checked images as features; ``ids`` None: from the content, ``keys`` None: the ids."""
    if ids is None:
        ids = content_ids(images)
    features = pa.record_batch(
        {
            IMAGE: lists_of(pa.array(images, pa.binary()), 1),
            LABEL: bytes_feature(labels),
            ID: bytes_feature(ids),
            SOURCE: bytes_feature(sources),
        }
    )
    return Chunk(features, [i.encode() for i in ids] if keys is None else keys, rejected)


def _read_bounded(path: Path, max_bytes: int) -> bytes:
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
