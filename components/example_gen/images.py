"""Read image files: check file size and header before decoding, then decode to find damage."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from diptych.components.common.images import find_image_error, read_bounded
from diptych.components.example_gen.example_batch import (
    ExampleBatch,
    bytes_feature,
    compute_ids,
    list_feature,
)
from diptych.components.example_gen.given_splits import (
    describe_unknown_split,
    parse_split_name,
    select_split_keys,
)
from diptych.components.example_gen.path_levels import parse_path
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.input_spec import ID, IMAGE, LABEL, SOURCE


def read_images(
    root: Path, names: Sequence[str], data: ImageFolder, split: SplitConfig
) -> ExampleBatch:
    """Read and check image files. The folders state label, group and split, see ``data.levels``.

    Args:
      root: Data folder.
      names: Paths inside ``root``, separated by ``/``.
      data: Folder levels and size limits.
      split: Unit that stays together.
    """
    images: list[bytes] = []
    labels: list[bytes] = []
    groups: list[bytes] = []
    given_splits: list[str] = []
    sources: list[str] = []
    rejected: list[tuple[str, str]] = []
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
        roles = parse_path(name, data.levels)
        if split.by == "given":
            given_split = parse_split_name(str(roles.split))
            if given_split is None:
                rejected.append((name, describe_unknown_split(str(roles.split))))
                continue
            given_splits.append(given_split)
        images.append(encoded)
        labels.append(roles.label.encode())
        groups.append(str(roles.group).encode())
        sources.append(name)
    return build_image_batch(
        images,
        labels,
        sources,
        rejected,
        select_split_keys(split, labels, groups if data.states("group") else None),
        given_splits=given_splits if split.by == "given" else None,
    )


def build_image_batch(
    images: Sequence[bytes],
    labels: Sequence[bytes],
    sources: Sequence[str],
    rejected: Sequence[tuple[str, str]],
    split_keys: Sequence[bytes] | None,
    ids: Sequence[str] | None = None,
    given_splits: Sequence[str] | None = None,
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
    return ExampleBatch(features, split_keys, rejected, given_splits=given_splits)
