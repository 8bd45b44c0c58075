"""Read image files and check them before the model decodes them."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from diptych.components.common.data_files import DataFile, find_images
from diptych.components.common.file_types import format_list
from diptych.components.common.images import ImageLimits, prepare_image, read_bounded
from diptych.components.common.path_roles import parse_path
from diptych.inference.raw_batch import InputPartition, RawBatch
from diptych.schemas.config.data import ImageFolder, LevelRole
from diptych.schemas.errors import DataError
from diptych.schemas.manifest import ModelManifest

_PARTITION_FILES, _PARTITION_BYTES = 4096, 256 << 20
_BATCH_FILES, _BATCH_BYTES = 256, 16 << 20


@dataclasses.dataclass(frozen=True)
class ImageFolderPartition:
    """Image files of a folder.

    Attributes:
      root: The folder.
      files: The images.
      labelled: Whether their subfolders are the labels.
      limits: Limits of the images.
      levels: Role of each folder level, for images in that number of folders.
      rejected: Name and reason of each file that is not opened.
    """

    root: Path
    files: tuple[DataFile, ...]
    labelled: bool
    limits: ImageLimits
    levels: tuple[LevelRole, ...] | None = None
    rejected: tuple[tuple[str, str], ...] = ()

    @property
    def num_examples(self) -> int:
        """See ``InputPartition``."""
        return len(self.files) + len(self.rejected)

    def _read_label(self, name: str) -> str:
        has_levels = self.levels is not None and name.count("/") == len(self.levels)
        return parse_path(name, self.levels if has_levels else None).label

    def read(self) -> Iterator[RawBatch]:
        """Read the images in batches of a few hundred."""
        rejected = list(self.rejected)
        for files in _group_files(self.files, _BATCH_FILES, _BATCH_BYTES):
            images: list[bytes] = []
            names: list[str] = []
            for file in files:
                image, problem = read_checked_image(self.root / file.name, self.limits)
                if problem is None:
                    images.append(image)
                    names.append(file.name)
                else:
                    rejected.append((file.name, problem))
            labels = tuple(map(self._read_label, names)) if self.labelled else None
            yield RawBatch(_to_object_array(images), tuple(names), labels, tuple(rejected))
            rejected = []


@dataclasses.dataclass(frozen=True)
class SingleImagePartition:
    """One image named by the user; an unusable image is an error."""

    path: Path
    limits: ImageLimits

    @property
    def num_examples(self) -> int:
        """See ``InputPartition``."""
        return 1

    def read(self) -> Iterator[RawBatch]:
        """Read a batch of one image.

        Raises:
          DataError: If the image is unusable.
        """
        image, problem = read_checked_image(self.path, self.limits)
        if problem is not None:
            raise DataError(f"{self.path} cannot be used: {problem}.")
        yield RawBatch(_to_object_array([image]), (self.path.name,), None, ())


def limits_of_model(manifest: ModelManifest) -> ImageLimits:
    """Return the limits and the background of the model's training data, or the defaults."""
    data = manifest.configuration.get("data", {})
    fields = ImageFolder.model_fields
    max_bytes, max_pixels = (
        data.get(name) or fields[name].default for name in ("max_bytes", "max_pixels")
    )
    return ImageLimits(max_bytes, max_pixels, manifest.inputs.background)


def single_image_partition(path: Path, manifest: ModelManifest) -> InputPartition:
    """Create the partition of one image file."""
    return SingleImagePartition(path, limits_of_model(manifest))


def image_folder_partitions(path: Path, manifest: ModelManifest) -> list[InputPartition]:
    """Split all images in a folder and its subfolders into partitions of a few megabytes.

    Raises:
      DataError: If the folder contains no image.
    """
    data = manifest.configuration.get("data", {})
    levels = tuple(data["levels"]) if data.get("levels") else None
    found = find_images(str(path), data.get("follow_links"))
    files = found.files
    if not files:
        unusable = found.rejected or found.ignored
        example = f" Not usable: {unusable[0][0]}: {unusable[0][1]}." if unusable else ""
        raise DataError(
            f"No images ({format_list()}) in {path}.{example} Pass a folder with images."
        )
    limits = limits_of_model(manifest)
    labelled = any("/" in file.name for file in files)
    # Listed as rejected: there is no other list of the files that have no embedding.
    rejected_of_partition = tuple(sorted((*found.rejected, *found.ignored)))
    partitions: list[InputPartition] = []
    for group in _group_files(files, _PARTITION_FILES, _PARTITION_BYTES):
        partitions.append(
            ImageFolderPartition(path, group, labelled, limits, levels, rejected_of_partition)
        )
        rejected_of_partition = ()  # reported once, by the first partition
    return partitions


def read_checked_image(path: Path, limits: ImageLimits) -> tuple[bytes, str | None]:
    """Read an image file and check it.

    Returns:
      The bytes, and the reason why the model cannot use them, or None.
    """
    try:
        image = read_bounded(path, limits.max_bytes)
    except OSError as error:
        return b"", f"cannot be read: {error.strerror}"
    prepared = prepare_image(image, limits)
    return image, prepared if isinstance(prepared, str) else None


def _group_files(
    files: Sequence[DataFile], max_files: int, max_bytes: int
) -> Iterator[tuple[DataFile, ...]]:
    group: list[DataFile] = []
    num_bytes = 0
    for file in files:
        if group and (len(group) == max_files or num_bytes + file.size > max_bytes):
            yield tuple(group)
            group, num_bytes = [], 0
        group.append(file)
        num_bytes += file.size
    yield tuple(group)


def _to_object_array(images: list[bytes]) -> np.ndarray:
    values = np.empty(len(images), object)
    values[:] = images
    return values
