"""Which files in a folder are images or tables."""

import dataclasses
import os
import stat

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


def is_table(name: str) -> bool:
    """By the ending."""
    return name.lower().endswith(TABLE_ENDINGS)


def find_images(path: str) -> tuple[list[File], list[tuple[str, str]]]:
    """Finds the images in a folder and the folders below; hidden ones are passed over.

    Returns:
      The files, sorted by name; and the name of each other file with the reason.
    """
    walk = _Walk(path)
    return sorted(walk.files, key=lambda file: file.name), sorted(walk.rejected)


class _Walk:
    """Goes through a folder once; links to folders are never followed."""

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
        if printable(name) != name:
            return "its name is not UTF-8"
        return None


def printable(name: str) -> str:
    """A file name as valid text; bytes that are not UTF-8 are shown as escapes."""
    return os.fsencode(name).decode(errors="backslashreplace")
