"""Read image files: check file size and header before decoding, then decode to find damage."""

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from diptych.components.common.images import find_image_error, read_bounded
from diptych.components.common.label_text import normalize_text
from diptych.components.example_gen.example_batch import (
    ExampleBatch,
    bytes_feature,
    compute_ids,
    list_feature,
)
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.input_spec import ID, IMAGE, LABEL, SOURCE


def read_images(
    root: Path, names: Sequence[str], data: ImageFolder, split: SplitConfig
) -> ExampleBatch:
    """Read and check image files. The label is the folder.

    Args:
      root: Data folder.
      names: Paths inside ``root``, separated by ``/``.
      data: Size limits.
      split: If split by class, the split key is the label; otherwise it is the id.
    """
    images, labels, sources, rejected = [], [], [], []
    for name in names:
        try:
            encoded = read_bounded(root / name, data.max_bytes)
        except OSError as error:
            rejected.append((name, f"cannot be read: {error.strerror}"))
            continue
        reason = find_image_error(encoded, data.max_bytes, data.max_pixels)
        if reason is not None:
            rejected.append((name, reason))
            continue
        images.append(encoded)
        labels.append(normalize_text(os.path.dirname(name)).encode())
        sources.append(name)
    return build_image_batch(
        images, labels, sources, rejected, labels if split.by == "class" else None
    )


def build_image_batch(
    images: Sequence[bytes],
    labels: Sequence[bytes],
    sources: Sequence[str],
    rejected: Sequence[tuple[str, str]],
    split_keys: Sequence[bytes] | None,
    ids: Sequence[str] | None = None,
) -> ExampleBatch:
    """Build a batch of checked images.

    ``ids`` default to hashes of the content, and ``split_keys`` to the ids.
    """
    if ids is None:
        ids = compute_ids(images)
    features = pa.record_batch(
        {
            IMAGE: list_feature(pa.array(images, pa.binary()), 1),
            LABEL: bytes_feature(labels),
            ID: bytes_feature(ids),
            SOURCE: bytes_feature(sources),
        }
    )
    if split_keys is None:
        split_keys = [example_id.encode() for example_id in ids]
    return ExampleBatch(features, split_keys, rejected)
