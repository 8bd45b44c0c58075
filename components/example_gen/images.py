"""Images: bounded by size on disk and by header before anything is decoded, then really decoded."""

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from diptych.components.common.images import find_fault, read_bounded
from diptych.components.example_gen.chunk import Chunk, bytes_feature, content_ids, lists_of
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.config.split import Split
from diptych.schemas.input_spec import ID, IMAGE, LABEL, SOURCE


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
            encoded = read_bounded(root / name, data.max_bytes)
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
