"""Profile folders of images: the size and the channels of a sample."""

import collections
import io
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from diptych.components.common.data_files import find_images
from diptych.components.common.decoding_work import find_excessive_work
from diptych.components.common.file_types import recognize_image
from diptych.components.common.images import read_bounded
from diptych.components.common.path_roles import parse_path
from diptych.components.example_gen.profile.data_profile import (
    DataProfile,
    count_noun,
    with_class_settings,
)
from diptych.components.example_gen.profile.levels import guess_levels
from diptych.components.example_gen.span_files import find_files
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.errors import DataError

SAMPLE_IMAGES = 64
_MAX_DECODED_PIXELS = 25_000_000  # by the header; larger images are not decoded
_MAX_FILE_BYTES = 100_000_000  # the rest of a larger file is not read
_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that exchange height and width
_SIDE_LENGTHS = (28, 224)  # smallest and largest proposal for resized images


def profile_images(path: str) -> DataProfile:
    """Profile a folder of images."""
    data: dict[str, Any] = {"kind": "images", "path": path}
    notes: list[str] = []
    found = find_images(path)
    if found.linked_folder is not None:
        amount = "some" if found.files else "all"
        data["follow_links"] = found.linked_folder
        notes.append(
            f"CHECK: {amount} images are symbolic links out of the data folder; follow_links "
            "allows the folder of their targets."
        )
        found = find_images(path, found.linked_folder)
    guess = guess_levels([file.name for file in found.files])
    if guess.levels is not None:
        data["levels"] = guess.levels
    span_files = find_files(ImageFolder.model_validate(data))
    step = -(-len(span_files.files) // SAMPLE_IMAGES)
    settings, note = infer_image_settings(
        span_files.root / file.name for file in span_files.files[::step]
    )
    counts = collections.Counter(
        parse_path(file.name, guess.levels).label for file in span_files.files
    )
    notes += [f"{count_noun(len(span_files.files), 'image')} {note}", *guess.notes]
    for verb, files in (("rejected", found.rejected), ("ignored", found.ignored)):
        if files:
            name, reason = files[0]
            notes.append(f"{count_noun(len(files), 'file')} {verb}, such as {name!r}: {reason}.")
    data |= settings
    return with_class_settings(data, counts, notes, has_given_splits=guess.has_given_splits)


def infer_image_settings(images: Iterable[Any]) -> tuple[dict[str, Any], str]:
    """Propose size and channels for images, given as paths or open files; and a note."""
    heights, widths, has_color, has_alpha = [], [], [], []
    for encoded in images:
        try:
            content = _read(encoded)
            image_format = recognize_image(content) or ""
            if find_excessive_work(content, image_format, _MAX_DECODED_PIXELS):
                continue
            with Image.open(io.BytesIO(content)) as image:
                height, width = image.height, image.width
                orientation = image.getexif().get(ExifTags.Base.Orientation)
                if orientation in _QUARTER_TURNS and image.format != "TIFF":  # is upright already
                    height, width = width, height
                is_transparent = "A" in image.mode or "transparency" in image.info
                is_color = _has_color(image)
        except Exception:  # damaged images raise many exception types; ExampleGen reports them
            continue
        heights.append(height)
        widths.append(width)
        has_color.append(is_color)
        has_alpha.append(is_transparent)
    if not heights:
        raise DataError("None of the sampled images can be read. Check the files.")
    smallest = f"{min(heights)} x {min(widths)}"
    largest = f"{max(heights)} x {max(widths)}"
    note = f"of {smallest if smallest == largest else f'{smallest} to {largest}'} pixels"
    settings = {
        "size": (_choose_side_length(heights), _choose_side_length(widths)),
        "channels": 3 if any(has_color) else 1,
    }
    note = f"{note} (in a sample of {len(heights)})."
    if any(has_alpha):
        note += " Some have transparent pixels: see background."
    return settings, note


def _read(encoded: Any) -> bytes:
    if isinstance(encoded, str | Path):
        return read_bounded(Path(encoded), _MAX_FILE_BYTES)
    content: bytes = encoded.read()
    return content


def _has_color(image: Image.Image) -> bool:
    if image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I"):
        return False
    if image.width * image.height > _MAX_DECODED_PIXELS:
        return True
    image.thumbnail((64, 64))  # enough to detect color
    red, green, blue = (channel.tobytes() for channel in image.convert("RGB").split())
    return not red == green == blue


def _choose_side_length(lengths: Sequence[int]) -> int:
    smallest, largest = _SIDE_LENGTHS
    # A multiple of 4 can be halved twice.
    return min(largest, max(smallest, 4 * round(statistics.median(lengths) / 4)))
