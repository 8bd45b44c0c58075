"""Find image files by their content, and recognize table files by their extension."""

import dataclasses
import os
import stat
from collections.abc import Callable

from diptych.components.common.file_types import (
    HEAD_BYTES,
    describe_other_file,
    recognize_image,
)
from diptych.components.common.split_names import find_split_in_path

IMAGE_EXTENSIONS = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".gif", ".bmp", ".dib", ".webp"),
    *(".tif", ".tiff", ".pnm", ".pbm", ".pgm", ".ppm"),
)
"""Files with these extensions are images without a look at the content, which is checked later."""

TABLE_EXTENSIONS = (
    *(".csv", ".tsv", ".parquet", ".pq", ".feather", ".arrow", ".ipc", ".jsonl", ".ndjson"),
    *(".csv.gz", ".csv.bz2", ".csv.zst", ".tsv.gz", ".tsv.bz2", ".tsv.zst"),
    *(".jsonl.gz", ".jsonl.bz2", ".jsonl.zst", ".ndjson.gz", ".ndjson.bz2", ".ndjson.zst"),
)
# Files that operating systems create in folders.
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "__macosx"})
_WEBP_AS_PNG = 12  # size of a photo as PNG, in multiples of its size as WebP
_LINK_OUTSIDE = "a symbolic link out of the data folder"
_LINK_TO_FOLDER = "a symbolic link to a folder"
FOLLOWABLE_LINKS = frozenset({_LINK_OUTSIDE, _LINK_TO_FOLDER})
"""Reasons of rejected links that ``follow_links`` may allow."""


@dataclasses.dataclass(frozen=True)
class DataFile:
    """A file of the data; ``name`` is its path relative to the root, separated by ``/``."""

    name: str
    size: int
    mtime_ns: int

    @property
    def example_size(self) -> int:
        """Estimated size of its examples; WebP images are converted to PNG."""
        return self.size * _WEBP_AS_PNG if self.name.lower().endswith(".webp") else self.size


@dataclasses.dataclass(frozen=True)
class FoundImages:
    """Image files of a folder, and what else is in it.

    Attributes:
      files: Images, sorted by name.
      rejected: Name and reason of each file that may be an image and cannot be used, sorted.
      ignored: Name and reason of each file that is not an image, sorted.
      linked_folder: A folder that contains the targets of all links out of the data folder; None
        without such links.
    """

    files: tuple[DataFile, ...]
    rejected: tuple[tuple[str, str], ...]
    ignored: tuple[tuple[str, str], ...]
    linked_folder: str | None

    def advise_following(self) -> str:
        """Return what to do if links were rejected that could be followed; empty if none were."""
        if self.linked_folder is None:
            return ""
        return (
            " To follow links out of the data folder, set data.follow_links to a folder that "
            f"contains their targets, such as {to_printable(self.linked_folder)}."
        )


def has_table_extension(name: str) -> bool:
    """Return whether a file name has the extension of a table."""
    return name.lower().endswith(TABLE_EXTENSIONS)


def find_tables(path: str) -> list[str]:
    """Return the paths of the tables in a folder, see ``find_data_files``."""
    return find_data_files(path, has_table_extension)[0]


def find_data_files(path: str, is_data: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """Find the data files in a folder, in its partitions (``key=value``) and splits (``train``).

    Hidden files and names that start with ``_`` are skipped.

    Args:
      path: The folder.
      is_data: Whether a file name is that of data.

    Returns:
      Paths relative to the folder, sorted: of the data files, and of other files and subfolders
      (which end with /).
    """
    names: list[str] = []
    others: list[str] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(os.path.join(path, folder)) as entries:
            for entry in entries:
                name = f"{folder}{entry.name}"
                if entry.name.startswith((".", "_")) or entry.name.lower() in _SYSTEM_FILES:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    is_read = "=" in entry.name[1:] or find_split_in_path(entry.name) is not None
                    (folders if is_read else others).append(f"{name}/")
                elif is_data(entry.name) and entry.is_file():
                    names.append(name)
                else:
                    others.append(name)
    return sorted(names), sorted(others)


def find_images(path: str, follow_links: str | None = None) -> FoundImages:
    """Find the images in a folder and its subfolders, without hidden files.

    Files with another extension are recognized by their content. Each folder is read once, so a
    cycle of links ends.

    Args:
      path: The folder.
      follow_links: Folder in which the targets of symbolic links may be. None follows only links
        to files inside ``path``.
    """
    walk = _ImageFolderWalk(path, follow_links)
    return FoundImages(
        tuple(sorted(walk.files, key=lambda file: file.name)),
        tuple(sorted(walk.rejected)),
        tuple(sorted(walk.ignored)),
        walk.linked_folder,
    )


class _ImageFolderWalk:
    """Walk through a folder once: first its own subfolders, then linked ones, sorted by name."""

    def __init__(self, root: str, follow_links: str | None) -> None:
        self.files: list[DataFile] = []
        self.rejected: list[tuple[str, str]] = []
        self.ignored: list[tuple[str, str]] = []
        self.linked_folder: str | None = None
        self._root = root
        self._follows_links = follow_links is not None
        real_root = os.path.realpath(root)
        self._allowed = [real_root]
        if follow_links is not None:
            self._allowed.append(os.path.realpath(follow_links))
        self._visited: set[str] = set()
        self._folder_links: list[tuple[str, str]] = []
        self._walk("", real_root)
        while self._folder_links:
            links, self._folder_links = sorted(self._folder_links), []
            for name, real in links:
                self._walk(name, real)

    def _walk(self, folder: str, real: str) -> None:
        """Walk through a folder, given by its name below the root and its path without links."""
        folders = [(folder, real)]
        while folders:
            folder, real = folders.pop()
            if real in self._visited:
                self._reject(folder, "a symbolic link to a folder that is read under another name")
                continue
            self._visited.add(real)
            try:
                with os.scandir(os.path.join(self._root, folder)) as entries:
                    children = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self._reject(folder or ".", f"folder cannot be read: {error.strerror}")
                continue
            for entry in children:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.name.startswith(".") or entry.name.lower() in _SYSTEM_FILES:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append((name, os.path.join(real, entry.name)))
                else:
                    self._add(name, entry)

    def _add(self, name: str, entry: os.DirEntry[str]) -> None:
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            problem = self._find_link_problem(target)
            if problem is not None:
                self._reject(name, problem)
                return
            if os.path.isdir(target):
                self._folder_links.append((name, target))
                return
        try:
            status = entry.stat()
            if not stat.S_ISREG(status.st_mode):
                self._reject(name, "not a regular file")
                return
            if not self._is_image(name, entry.path):
                return
        except OSError as error:
            self._reject(name, f"cannot be read: {error.strerror}")
            return
        if to_printable(name) != name:
            self._reject(name, "file name is not UTF-8")
            return
        self.files.append(DataFile(name, status.st_size, status.st_mtime_ns))

    def _find_link_problem(self, target: str) -> str | None:
        if not os.path.exists(target):
            return "a broken symbolic link"
        if not any(os.path.commonpath((target, allowed)) == allowed for allowed in self._allowed):
            folder = target if os.path.isdir(target) else os.path.dirname(target)
            self.linked_folder = os.path.commonpath((folder, self.linked_folder or folder))
            return _LINK_OUTSIDE
        if os.path.isdir(target) and not self._follows_links:
            return _LINK_TO_FOLDER
        return None

    def _is_image(self, name: str, path: str) -> bool:
        """Return whether a file is an image; otherwise, add it to the rejected or ignored files."""
        if name.lower().endswith(IMAGE_EXTENSIONS):
            return True
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
        if recognize_image(head) is not None:
            return True
        reason, is_image = describe_other_file(head)
        if is_image:
            self._reject(name, reason)
        else:
            self.ignored.append((to_printable(name), reason))
        return False

    def _reject(self, name: str, reason: str) -> None:
        self.rejected.append((to_printable(name), reason))


def split_existing_folder(path: str) -> tuple[str, str]:
    """Split a path with wildcards or other patterns into its longest existing folder and the rest.

    What exists is meant literally, whatever its name contains. The rest has at least one part.
    """
    folder, parts = "", path.split("/")
    if not parts[0]:
        folder = "/"
    parts = [part for part in parts if part] or [""]
    while len(parts) > 1 and os.path.isdir(os.path.join(folder, parts[0])):
        folder = os.path.join(folder, parts.pop(0))
    return folder or ".", "/".join(parts)


def to_printable(name: str) -> str:
    """Convert a file name to valid text; bytes that are not UTF-8 become escapes."""
    return os.fsencode(name).decode(errors="backslashreplace")
