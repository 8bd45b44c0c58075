"""Images from files, checked before the model decodes them."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from diptych.components.images import find_fault, read_bounded
from diptych.components.reading.folders import IMAGE_ENDINGS, File, find_images
from diptych.components.serving.batch import Part, RawBatch
from diptych.schemas.config import ImageFolder
from diptych.schemas.errors import DataError
from diptych.schemas.manifest import ModelManifest

_PART_FILES, _PART_BYTES = 256, 16 << 20


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Of an image that is decoded."""

    max_bytes: int
    max_pixels: int


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Image files; ``labels`` None: they have none. ``rejected`` were never opened."""

    root: Path
    names: tuple[str, ...]
    labels: tuple[str, ...] | None
    bounds: Bounds
    rejected: tuple[tuple[str, str], ...] = ()

    def read(self) -> Iterator[RawBatch]:
        """All of them as one batch."""
        images: list[bytes] = []
        good: list[int] = []
        rejected = list(self.rejected)
        for number, name in enumerate(self.names):
            image, fault = read_image(self.root / name, self.bounds)
            if fault is None:
                images.append(image)
                good.append(number)
            else:
                rejected.append((name, fault))
        yield RawBatch(
            values=_objects(images),
            sources=tuple(self.names[number] for number in good),
            labels=None if self.labels is None else tuple(self.labels[number] for number in good),
            rejected=tuple(rejected),
        )


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """One image, named by the user: nothing is to be done without it."""

    path: Path
    bounds: Bounds

    def read(self) -> Iterator[RawBatch]:
        """A batch of one.

        Raises:
          DataError: it cannot be used.
        """
        image, fault = read_image(self.path, self.bounds)
        if fault is not None:
            raise DataError(f"{self.path} cannot be used: {fault}.")
        yield RawBatch(_objects([image]), (self.path.name,), None, ())


def image_file(path: Path, manifest: ModelManifest) -> Part:
    """The one image at a path."""
    return ImageFile(path, bounds_of(manifest))


def image_folder(path: Path, manifest: ModelManifest) -> list[Part]:
    """All images in a folder and the folders below, in parts of some megabytes.

    Raises:
      DataError: there is no image.
    """
    files, rejected = find_images(str(path))
    if not files:
        seen = f" Set aside: {rejected[0][0]}: {rejected[0][1]}." if rejected else ""
        raise DataError(
            f"No images ({', '.join(IMAGE_ENDINGS)}) in {path}.{seen} Name a folder that has some."
        )
    bounds, labelled = bounds_of(manifest), any("/" in file.name for file in files)
    parts: list[Part] = []
    for some in _cut(files):
        names = tuple(file.name for file in some)
        labels = tuple(name.rpartition("/")[0] for name in names) if labelled else None
        never_opened = () if parts else tuple(rejected)  # told once
        parts.append(ImageFiles(path, names, labels, bounds, never_opened))
    return parts


def bounds_of(manifest: ModelManifest) -> Bounds:
    """Those that the model's data had; the defaults where the manifest does not say."""
    data = manifest.configuration.get("data", {})
    fields = ImageFolder.model_fields
    return Bounds(*(data.get(name) or fields[name].default for name in ("max_bytes", "max_pixels")))


def read_image(path: Path, bounds: Bounds) -> tuple[bytes, str | None]:
    """The bytes of a file, and why they are no image for the model; None if they are."""
    try:
        image = read_bounded(path, bounds.max_bytes)
    except OSError as error:
        return b"", f"cannot be read: {error.strerror}"
    return image, find_fault(image, bounds.max_bytes, bounds.max_pixels)


def _cut(files: list[File]) -> Iterator[list[File]]:
    some: list[File] = []
    size = 0
    for file in files:
        if some and (len(some) == _PART_FILES or size + file.size > _PART_BYTES):
            yield some
            some, size = [], 0
        some.append(file)
        size += file.size
    yield some


def _objects(images: list[bytes]) -> np.ndarray:
    values = np.empty(len(images), object)
    values[:] = images
    return values
