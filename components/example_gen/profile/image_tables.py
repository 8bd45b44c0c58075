"""Profile tables whose cells are images or paths of images: lists with labels, or pairs."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from diptych.components.common.data_files import IMAGE_EXTENSIONS
from diptych.components.common.file_types import recognize_image
from diptych.components.common.table_rows import TextSettings
from diptych.components.common.tables.file_formats import detect_table_format
from diptych.components.example_gen.columns import ColumnSample
from diptych.components.example_gen.image_cells import (
    ImageLocator,
    ImageSource,
    can_hold_images,
    to_image_sources,
)
from diptych.components.example_gen.profile.data_profile import DataProfile, with_class_settings
from diptych.components.example_gen.profile.images import SAMPLE_IMAGES, infer_image_settings
from diptych.components.example_gen.profile.roles import (
    count_distinct,
    count_rows_per_label,
    describe_given_splits,
    describe_group,
    guess_group_column,
    guess_label_column,
    guess_positive_value,
    guess_same_column,
    guess_split_column,
    note_times,
    with_pair_roles,
)
from diptych.components.example_gen.span_files import SpanFiles, find_files
from diptych.schemas.config.data import ImageFolder, PairTable
from diptych.schemas.errors import DataError

_MIN_IMAGES = 0.5  # fraction of the sampled cells that must be images or name them
_RIGHT_NAMES = ("right", "second", "b", "2", "image2", "img2", "path2", "file2")


def profile_image_table(
    path: str,
    span_files: SpanFiles,
    sample: ColumnSample,
    batch: pa.RecordBatch,
    settings: TextSettings,
) -> DataProfile | None:
    """Profile a table as a list of images or as pairs of images; None if it has no images."""
    first = next(span_files.root / file.name for file in span_files.files if file.size)
    is_csv = detect_table_format(first) == "csv"
    root = str(span_files.root)
    locator = ImageLocator((root,), (os.path.realpath(root),))
    samples = {
        name: to_image_sources(batch.column(name).slice(0, SAMPLE_IMAGES), is_csv)
        for name in batch.schema.names
        if can_hold_images(batch.schema.field(name).type) and name not in sample.numeric
    }
    images = [name for name, sources in samples.items() if _are_images(sources, locator)]
    if not images:
        return None
    sources = [source for name in images for source in samples[name]]
    data, note = _infer_settings(sources, locator)
    if len(images) == 2:
        return _profile_pairs(path, span_files, images, data, [note], sample, batch)
    notes = [f"The column {images[0]!r} has the images. {note}"]
    if len(images) > 2:
        notes.append(f"CHECK: the columns {', '.join(images)} name images; data.image is a guess.")
    data["image"] = images[0]
    return _profile_list(path, span_files, data, notes, sample, batch, settings, images)


def _are_images(sources: Sequence[ImageSource], locator: ImageLocator) -> bool:
    """Return whether cells are images, or paths with the extension of images or of images."""
    present = [source for source in sources if source is not None]
    named = sum(_is_image(source, locator) for source in present)
    return bool(present) and named >= _MIN_IMAGES * len(present)


def _is_image(source: bytes | str, locator: ImageLocator) -> bool:
    if isinstance(source, bytes):
        return recognize_image(source) is not None
    return source.lower().endswith(IMAGE_EXTENSIONS) or _has_image(source, locator)


def _has_image(text: str, locator: ImageLocator) -> bool:
    path, problem = locator.locate(text)
    if problem is not None:
        return False
    with open(path, "rb") as file:
        return recognize_image(file.read(64)) is not None


def _infer_settings(
    sources: Sequence[ImageSource], locator: ImageLocator
) -> tuple[dict[str, Any], str]:
    images: list[Any] = []
    for source in sources:
        if isinstance(source, bytes):
            images.append(io.BytesIO(source))
        elif source is not None:
            path, problem = locator.locate(source)
            images += [] if problem else [path]
    try:
        settings, note = infer_image_settings(images)
    except DataError:
        return {}, "CHECK: none of the sampled images can be read."
    return settings, f"Images {note}"


def _profile_pairs(
    path: str,
    span_files: SpanFiles,
    images: Sequence[str],
    data: dict[str, Any],
    notes: list[str],
    sample: ColumnSample,
    batch: pa.RecordBatch,
) -> DataProfile:
    same, is_certain = guess_same_column(sample, batch)
    if same is None:
        binary = [
            name
            for name in sample.names
            if name in batch.schema.names
            and name not in images
            and count_distinct(batch, name) == 2
        ]
        same = binary[-1] if binary else sample.names[-1]
    left, right = images
    if left.lower() in _RIGHT_NAMES:
        left, right = right, left
    notes = [f"Pairs of images: {left!r} and {right!r}; {same!r} marks positive pairs.", *notes]
    if not is_certain:
        notes.append(f"CHECK: the column {same!r} is assumed to mark positive pairs.")
    positive = guess_positive_value(batch, same)
    keys = {"kind": "pairs", "path": path, "same": same, "same_value": positive}
    keys |= {"left": left, "right": right, **data}
    return with_pair_roles(keys, span_files, sample, batch, notes)


def _profile_list(
    path: str,
    span_files: SpanFiles,
    data: dict[str, Any],
    notes: list[str],
    sample: ColumnSample,
    batch: pa.RecordBatch,
    settings: TextSettings,
    images: Sequence[str],
) -> DataProfile:
    split = guess_split_column(sample, batch)
    label, is_certain = guess_label_column(sample, batch, [*images, split])
    if not is_certain:
        notes.append(f"CHECK: the label column {label!r} is a guess.")
    keys: dict[str, Any] = {"kind": "images", "path": str(span_files.root), "table": path}
    if os.path.isdir(path) and len(span_files.files) == 1:
        keys["table"] = str(Path(path) / span_files.files[0].name)
    keys["label"] = label
    if split is not None:
        keys["split"] = split
    given = describe_given_splits(split, span_files)
    notes += [*given, *note_times(sample, batch)]
    group = guess_group_column(sample, batch, [*images, label, split])
    if group is not None:
        keys["group"] = group
        notes.append(describe_group(group))
    id_names = [name for name in ("id", "image_id") if name in sample.names and name != label]
    for name in id_names:
        if name not in images and count_distinct(batch, name) == batch.num_rows:
            keys["id"] = name
            break
    counts, is_partial = count_rows_per_label(span_files, label, settings)
    return with_class_settings({**keys, **data}, counts, notes, is_partial, bool(given))


def count_listed_images(profile: DataProfile) -> int:
    """Count the existing images that a profiled table lists."""
    keys = dict(profile.data)
    model = ImageFolder if keys["kind"] == "images" else PairTable
    return sum(image.size > 0 for image in find_files(model.model_validate(keys)).images)
