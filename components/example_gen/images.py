"""Read image files: check file size and header before decoding, then decode to find damage."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from diptych.components.common.images import ImageLimits, prepare_image, read_bounded
from diptych.components.common.path_roles import parse_path
from diptych.components.common.row_parsing import RejectionReasons
from diptych.components.common.split_names import parse_split_name
from diptych.components.example_gen.example_batch import (
    ExampleBatch,
    bytes_feature,
    compute_ids,
    list_feature,
)
from diptych.components.example_gen.fingerprints import Fingerprints, ImageFingerprinter
from diptych.components.example_gen.given_splits import (
    describe_unknown_split,
    select_split_keys,
)
from diptych.schemas.config.colour import parse_colour
from diptych.schemas.config.data import ImageFolder, PairTable, TFRecords
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.input_spec import ID, IMAGE, LABEL, SOURCE


def read_images(
    root: Path, names: Sequence[str], data: ImageFolder, split: SplitConfig
) -> ExampleBatch:
    """Read and check image files. The folders state label, group and split, see ``data.levels``.

    Args:
      root: Data folder.
      names: Paths inside ``root``, separated by ``/``.
      data: Folder levels, size limits and background.
      split: Unit that stays together.
    """
    limits = image_limits(data)
    images: list[bytes] = []
    ids: list[str] = []
    labels: list[bytes] = []
    groups: list[bytes] = []
    given_splits: list[str] = []
    sources: list[str] = []
    rejected: list[tuple[str, str]] = []
    findings: list[tuple[str, str]] = []
    fingerprints = ImageFingerprinter()
    for name in names:
        try:
            encoded = read_bounded(root / name, data.max_bytes)
        except OSError as error:
            rejected.append((name, f"cannot be read: {error.strerror}"))
            continue
        prepared = prepare_image(encoded, limits)
        if isinstance(prepared, str):
            rejected.append((name, prepared))
            continue
        roles = parse_path(name, data.levels)
        if split.by == "given":
            given_split = parse_split_name(str(roles.split))
            if given_split is None:
                rejected.append((name, describe_unknown_split(str(roles.split))))
                continue
            given_splits.append(given_split)
        images.append(prepared.encoded)
        ids += compute_ids([encoded])
        fingerprints.add(ids[-1], prepared.pixels)
        findings += [(name, finding) for finding in prepared.findings]
        labels.append(roles.label.encode())
        groups.append(str(roles.group).encode())
        sources.append(name)
    return build_image_batch(
        images,
        ids,
        labels,
        sources,
        rejected,
        findings,
        select_split_keys(split, labels, groups if data.states("group") else None),
        given_splits if split.by == "given" else None,
        fingerprints.build(),
    )


@dataclasses.dataclass(frozen=True)
class ImageColumn:
    """Usable images of some rows, in their order.

    Attributes:
      encoded: PNG or JPEG, see ``PreparedImage``.
      ids: Hashes of the original images.
      findings: Row number and text of each observation.
      fingerprints: Fingerprints of the images, to find duplicates.
    """

    encoded: list[bytes]
    ids: list[str]
    findings: list[tuple[int, str]]
    fingerprints: ImageFingerprinter


def prepare_image_column(
    images: Sequence[bytes | None],
    reasons: RejectionReasons,
    limits: ImageLimits,
    missing: str,
) -> ImageColumn:
    """Prepare the images of the rows that are not rejected.

    Args:
      images: One per row; None if a row has none.
      reasons: Reasons for rejection per row; those of unusable images are added.
      limits: Limits and background.
      missing: Reason for rows without an image.
    """
    column = ImageColumn([], [], [], ImageFingerprinter())
    for row, image in enumerate(images):
        if reasons[row] is not None:
            continue
        prepared = missing if image is None else prepare_image(image, limits)
        if image is None or isinstance(prepared, str):
            reasons[row] = prepared
            continue
        column.encoded.append(prepared.encoded)
        column.ids.extend(compute_ids([image]))
        column.fingerprints.add(column.ids[-1], prepared.pixels)
        column.findings.extend((row, finding) for finding in prepared.findings)
    return column


def image_limits(data: ImageFolder | PairTable | TFRecords) -> ImageLimits:
    """Return the limits and the background of a section ``data``."""
    return ImageLimits(data.max_bytes, data.max_pixels, parse_colour(data.background))


def build_image_batch(
    images: Sequence[bytes],
    ids: Sequence[str],
    labels: Sequence[bytes],
    sources: Sequence[str],
    rejected: Sequence[tuple[str, str]],
    findings: Sequence[tuple[str, str]],
    split_keys: Sequence[bytes] | None,
    given_splits: Sequence[str] | None,
    fingerprints: Fingerprints,
) -> ExampleBatch:
    """Build a batch of prepared images; ``split_keys`` default to the ids."""
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
    return ExampleBatch(
        features,
        split_keys,
        rejected,
        findings,
        given_splits,
        sides=[fingerprints],
    )
