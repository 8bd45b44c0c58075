"""Which files the data are in, and a fingerprint that changes when they do."""

import dataclasses
import glob
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from diptych.components.common.data_files import IMAGE_ENDINGS, File, find_images, is_table
from diptych.components.example_gen.spans import Span, find_spans, has_spans
from diptych.schemas.config.data import Data, ImageFolder, TFRecords
from diptych.schemas.errors import ConfigError, DataError, DiptychError


@dataclasses.dataclass(frozen=True)
class Found:
    """The files of the data, sorted by name, and those that cannot be used, with the reason.

    ``span`` is None for data that do not come in spans; ``fault`` is why an older span has no files
    that can be used.
    """

    root: Path
    files: tuple[File, ...]
    rejected: tuple[tuple[str, str], ...] = ()
    span: Span | None = None
    fault: str = ""

    @property
    def name(self) -> str:
        """Of the span; empty for data that do not come in spans."""
        return self.span.name if self.span else ""

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


def fingerprint_of(parts: Sequence[Found]) -> str:
    """Changes with the files of any span, and with the window."""
    if len(parts) == 1 and parts[0].span is None:
        return parts[0].fingerprint
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{part.span}\0{part.fingerprint}\0{part.fault}\n".encode())
    return digest.hexdigest()


def find_data(data: Data) -> tuple[Found, ...]:
    """Finds the files of each span in the window, the newest last; or of all, without spans.

    An older span without a file that can be used has a fault.

    Raises:
      ConfigError: as ``find_files`` and ``find_spans``, or a window without spans.
      DataError: as they do; the newest span has no file that can be used.
    """
    if not has_spans(data.path):
        if data.window is not None:
            raise ConfigError(
                f"data.window ({data.window}) is a number of spans, and data.path has none: "
                f"{data.path}. Add {{SPAN}}, or {{YYYY}}, {{MM}} and {{DD}}, or leave it out."
            )
        return (find_files(data),)
    _check_mounted(data.path)
    *older, newest = find_spans(data.path, data.window)
    try:
        parts = [_files_of(data, newest)]
    except DiptychError as error:
        raise DataError(
            f"The newest span, {newest.name}, has nothing in it that can be used: {error} If it is "
            "being written still, run again when it is whole; write it beside, and rename it."
        ) from error
    for span in reversed(older):
        try:
            parts.append(_files_of(data, span))
        except DiptychError as error:
            parts.append(Found(Path(span.path), (), span=span, fault=str(error)))
    return tuple(reversed(parts))


def _files_of(data: Data, span: Span) -> Found:
    found = find_files(data.model_copy(update={"path": span.path}))
    return dataclasses.replace(found, span=span)


def find_files(data: Data) -> Found:
    """Finds the files of data that do not come in spans.

    Raises:
      ConfigError: ``data.path`` does not exist, is of another kind, or is not on a mounted disk.
      DataError: there is no file of the wanted kind in it.
    """
    path = data.path
    _check_mounted(path)
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


def _check_mounted(path: str) -> None:
    if "://" in path:
        raise ConfigError(
            f"data.path must be on a mounted disk, got {path!r}. "
            "Mount the bucket, or copy the data first."
        )


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
