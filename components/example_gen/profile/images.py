"""Profile folders of images: the size and the channels of a sample."""

import collections
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from PIL import Image

from diptych.components.common.data_files import find_images
from diptych.components.example_gen.path_levels import parse_path
from diptych.components.example_gen.profile.data_profile import DataProfile, with_class_settings
from diptych.components.example_gen.profile.levels import guess_levels
from diptych.components.example_gen.span_files import find_files
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.errors import DataError

SAMPLE_IMAGES = 64
_MAX_DECODED_PIXELS = 25_000_000  # by the header; larger images are not decoded
_SIDE_LENGTHS = (28, 224)  # smallest and largest proposal for resized images


def profile_images(path: str) -> DataProfile:
    """Profile a folder of images."""
    images, rejected = find_images(path)
    guess = guess_levels([file.name for file in images])
    config = ImageFolder(kind="images", path=path, levels=guess.levels)
    span_files = find_files(config)
    step = -(-len(span_files.files) // SAMPLE_IMAGES)
    settings, note = infer_image_settings(
        span_files.root / file.name for file in span_files.files[::step]
    )
    counts = collections.Counter(
        parse_path(file.name, guess.levels).label for file in span_files.files
    )
    data = {"kind": "images", "path": path, **settings}
    if guess.levels is not None:
        data["levels"] = guess.levels
    notes = [f"{len(span_files.files)} images, {note}", *guess.notes]
    if rejected:
        name, reason = rejected[0]
        notes.append(f"{len(rejected)} files are rejected, such as {name!r}: {reason}.")
    return with_class_settings(data, counts, notes, has_given_splits=guess.has_given_splits)


def infer_image_settings(images: Iterable[Any]) -> tuple[dict[str, Any], str]:
    """Propose size and channels for images, given as paths or open files; and a note."""
    heights, widths, has_color = [], [], []
    for encoded in images:
        try:
            with Image.open(encoded) as image:
                height, width, is_color = image.height, image.width, _has_color(image)
        except Exception:  # damaged images raise many exception types; ExampleGen reports them
            continue
        heights.append(height)
        widths.append(width)
        has_color.append(is_color)
    if not heights:
        raise DataError("None of the sampled images can be read. Check the files.")
    smallest = f"{min(heights)} x {min(widths)}"
    largest = f"{max(heights)} x {max(widths)}"
    note = f"of {smallest if smallest == largest else f'{smallest} to {largest}'} pixels"
    settings = {
        "size": (_choose_side_length(heights), _choose_side_length(widths)),
        "channels": 3 if any(has_color) else 1,
    }
    return settings, f"{note} (in a sample of {len(heights)})."


def _has_color(image: Image.Image) -> bool:
    if image.mode in ("1", "L", "LA", "I", "I;16", "F"):
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
