"""Which files the data are in, and a fingerprint that changes when they do."""

import dataclasses
import glob
import hashlib
import os
from pathlib import Path

from diptych.components.reading.folders import IMAGE_ENDINGS, File, find_images, is_table
from diptych.schemas.config import Data, ImageFolder, TFRecords
from diptych.schemas.errors import ConfigError, DataError


@dataclasses.dataclass(frozen=True)
class Found:
    """The files of the data, sorted by name, and those that cannot be used, with the reason."""

    root: Path
    files: tuple[File, ...]
    rejected: tuple[tuple[str, str], ...] = ()

    @property
    def num_bytes(self) -> int:
        """Size of all files."""
        return sum(file.size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Changes with the names, sizes and times of the files, not with where the data are."""
        digest = hashlib.blake2b(digest_size=16)
        for file in self.files:
            digest.update(
                f"{file.name}\0{file.size}\0{file.mtime_ns}\n".encode(errors="surrogateescape")
            )
        for name, reason in self.rejected:
            digest.update(f"{name}\0{reason}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


def find_files(data: Data) -> Found:
    """Finds the files of the data.

    Raises:
      ConfigError: ``data.path`` does not exist, is of another kind, or is not on a mounted disk.
      DataError: there is no file of the wanted kind in it.
    """
    path = data.path
    if "://" in path:
        raise ConfigError(
            f"data.path must be on a mounted disk, got {path!r}. "
            "Mount the bucket, or copy the data first."
        )
    if isinstance(data, ImageFolder):
        return _find_images(path)
    endings = "*.tfrecord*, *.gz" if isinstance(data, TFRecords) else "*.csv, *.tsv, *.parquet"
    if os.path.isfile(path):
        root, names = os.path.dirname(path) or ".", [os.path.basename(path)]
    elif os.path.isdir(path):
        root = path
        wanted = _is_tfrecord if isinstance(data, TFRecords) else is_table
        names = [
            name for name in os.listdir(path) if wanted(name) and not name.startswith((".", "_"))
        ]
        names = [name for name in names if os.path.isfile(os.path.join(path, name))]
        if not names:
            raise DataError(
                f"No data files ({endings}) in {path}. Check data.path; for files in subfolders "
                f"use a pattern such as {os.path.join(path, '**', '*.csv')}."
            )
    elif glob.has_magic(path):
        root = _fixed_part(path)
        matches = [match for match in glob.glob(path, recursive=True) if os.path.isfile(match)]
        names = [os.path.relpath(match, root) for match in matches]
        if not names:
            raise ConfigError(f"No file matches data.path {path}. Check the pattern.")
    else:
        raise ConfigError(f"data.path does not exist: {path}. Check the configuration.")
    files = []
    for name in sorted(names):
        status = os.stat(os.path.join(root, name))
        files.append(File(name.replace(os.sep, "/"), status.st_size, status.st_mtime_ns))
    if not any(file.size for file in files):
        raise DataError(
            f"Every file in {path} is empty (0 bytes). Check how the data were written."
        )
    return Found(Path(root), tuple(files))


def _is_tfrecord(name: str) -> bool:
    lower = name.lower()
    return "tfrecord" in lower or lower.endswith((".gz", ".tfr"))


def _fixed_part(pattern: str) -> str:
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return str(Path(*parts[:fixed])) if fixed else "."


def _find_images(path: str) -> Found:
    if not os.path.exists(path):
        raise ConfigError(f"data.path does not exist: {path}. Check the configuration.")
    if not os.path.isdir(path):
        raise ConfigError(
            f"data.path must be a folder with one folder per class, got a file: {path}."
        )
    found, rejected = find_images(path)
    files = tuple(file for file in found if "/" in file.name)
    rejected += [(file.name, "not in a class folder") for file in found if "/" not in file.name]
    rejected.sort()
    if not files:
        seen = f" Set aside: {rejected[0][0]}: {rejected[0][1]}." if rejected else ""
        raise DataError(
            f"No images ({', '.join(IMAGE_ENDINGS)}) in the class folders of {path}.{seen} "
            "Put each class in a folder of its own."
        )
    return Found(Path(path), files, tuple(rejected))
