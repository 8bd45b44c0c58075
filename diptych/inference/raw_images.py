"""Images from files, checked before the model decodes them."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from diptych.components.common.data_files import IMAGE_ENDINGS, File, find_images
from diptych.components.common.images import find_fault, read_bounded
from diptych.inference.raw_batch import Part, RawBatch
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.errors import DataError
from diptych.schemas.manifest import ModelManifest

_PART_FILES, _PART_BYTES = 4096, 256 << 20
_BATCH_FILES, _BATCH_BYTES = 256, 16 << 20


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Of an image that is decoded."""

    max_bytes: int
    max_pixels: int


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Image files in a folder; their folders are labels, if ``labelled``.

    ``rejected`` are files that are not opened at all.
    """

    root: Path
    files: tuple[File, ...]
    labelled: bool
    bounds: Bounds
    rejected: tuple[tuple[str, str], ...] = ()

    @property
    def num_examples(self) -> int:
        """See ``Part``."""
        return len(self.files) + len(self.rejected)

    def read(self) -> Iterator[RawBatch]:
        """Some hundred at a time."""
        rejected = list(self.rejected)
        for files in _cut(self.files, _BATCH_FILES, _BATCH_BYTES):
            images: list[bytes] = []
            names: list[str] = []
            for file in files:
                image, fault = read_image(self.root / file.name, self.bounds)
                if fault is None:
                    images.append(image)
                    names.append(file.name)
                else:
                    rejected.append((file.name, fault))
            labels = tuple(name.rpartition("/")[0] for name in names) if self.labelled else None
            yield RawBatch(_objects(images), tuple(names), labels, tuple(rejected))
            rejected = []


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """One image, named by the user: nothing is to be done without it."""

    path: Path
    bounds: Bounds

    @property
    def num_examples(self) -> int:
        """See ``Part``."""
        return 1

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
    first = tuple(rejected)
    parts: list[Part] = []
    for some in _cut(files, _PART_FILES, _PART_BYTES):
        parts.append(ImageFiles(path, some, labelled, bounds, first))
        first = ()  # told once
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


def _cut(files: Sequence[File], most: int, most_bytes: int) -> Iterator[tuple[File, ...]]:
    some: list[File] = []
    size = 0
    for file in files:
        if some and (len(some) == most or size + file.size > most_bytes):
            yield tuple(some)
            some, size = [], 0
        some.append(file)
        size += file.size
    yield tuple(some)


def _objects(images: list[bytes]) -> np.ndarray:
    values = np.empty(len(images), object)
    values[:] = images
    return values
