"""Which files the data are in, and a fingerprint that changes when they do."""

import dataclasses
import glob
import hashlib
import os
import stat
from pathlib import Path

from diptych.schemas.config import Data, ImageFolder, TFRecords
from diptych.schemas.errors import ConfigError, DataError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
TABLE_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq")
# What operating systems leave in folders; nobody means them as data.
_JUNK = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "__macosx"})


@dataclasses.dataclass(frozen=True)
class File:
    """A file of the data; ``name`` is its path inside the data, with ``/``."""

    name: str
    size: int
    mtime_ns: int


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
        wanted = _is_tfrecord if isinstance(data, TFRecords) else _is_table
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


def _is_table(name: str) -> bool:
    return name.lower().endswith(TABLE_ENDINGS)


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
    walk = _Walk(path)
    files = tuple(sorted(walk.files, key=lambda file: file.name))
    rejected = tuple(sorted(walk.rejected))
    if not files:
        seen = f" Set aside: {rejected[0][0]}: {rejected[0][1]}." if rejected else ""
        raise DataError(
            f"No images ({', '.join(IMAGE_ENDINGS)}) in the class folders of {path}.{seen} "
            "Put each class in a folder of its own."
        )
    return Found(Path(path), files, rejected)


class _Walk:
    """Goes through a folder of class folders once; links to folders are never followed."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.real_root = os.path.realpath(root)
        self.files: list[File] = []
        self.rejected: list[tuple[str, str]] = []
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(os.path.join(root, folder)) as entries:
                    found = list(entries)
            except OSError as error:
                self.rejected.append(
                    (printable(folder) or ".", f"folder cannot be read: {error.strerror}")
                )
                continue
            for entry in found:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.name.startswith(".") or entry.name.lower() in _JUNK:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                else:
                    self._take(name, entry)

    def _take(self, name: str, entry: os.DirEntry[str]) -> None:
        reason = self._problem(name, entry)
        if reason is not None:
            self.rejected.append((printable(name), reason))
            return
        try:
            status = entry.stat()
        except OSError as error:
            self.rejected.append((printable(name), f"cannot be read: {error.strerror}"))
            return
        if not stat.S_ISREG(status.st_mode):
            self.rejected.append((printable(name), "not a regular file"))
            return
        self.files.append(File(name, status.st_size, status.st_mtime_ns))

    def _problem(self, name: str, entry: os.DirEntry[str]) -> str | None:
        if entry.is_symlink():
            real = os.path.realpath(entry.path)
            if not os.path.exists(real):
                return "a symbolic link that leads nowhere"
            if os.path.commonpath((real, self.real_root)) != self.real_root:
                return "a symbolic link that leaves the data folder"
            if os.path.isdir(real):
                return "a symbolic link to a folder; its images are read where they are"
        if not name.lower().endswith(IMAGE_ENDINGS):
            return "not an image by its ending"
        if "/" not in name:
            return "not in a class folder"
        if printable(name) != name:
            return "its name is not UTF-8"
        return None


def printable(name: str) -> str:
    """A file name as valid text; bytes that are not UTF-8 are shown as escapes."""
    return os.fsencode(name).decode(errors="backslashreplace")
