"""Find image files and recognize table files by their extension."""

import dataclasses
import os
import stat

IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
TABLE_EXTENSIONS = (
    *(".csv", ".tsv", ".parquet", ".pq", ".feather", ".arrow", ".ipc", ".jsonl", ".ndjson"),
    *(".csv.gz", ".csv.bz2", ".csv.zst", ".tsv.gz", ".tsv.bz2", ".tsv.zst"),
    *(".jsonl.gz", ".jsonl.bz2", ".jsonl.zst", ".ndjson.gz", ".ndjson.bz2", ".ndjson.zst"),
)
# Files that operating systems create in folders.
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "__macosx"})


@dataclasses.dataclass(frozen=True)
class DataFile:
    """A file of the data; ``name`` is its path relative to the root, separated by ``/``."""

    name: str
    size: int
    mtime_ns: int


def has_table_extension(name: str) -> bool:
    """Return whether a file name has the extension of a table."""
    return name.lower().endswith(TABLE_EXTENSIONS)


def find_tables(path: str) -> list[str]:
    """Find the tables in a folder and in its partitions, subfolders named ``key=value``.

    Hidden files and names that start with ``_`` are skipped.

    Returns:
      Paths relative to the folder, sorted.
    """
    names: list[str] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(os.path.join(path, folder)) as entries:
            for entry in entries:
                name = f"{folder}{entry.name}"
                if entry.name.startswith((".", "_")):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if "=" in entry.name[1:]:
                        folders.append(f"{name}/")
                elif has_table_extension(entry.name) and entry.is_file():
                    names.append(name)
    return sorted(names)


def find_images(path: str) -> tuple[list[DataFile], list[tuple[str, str]]]:
    """Find the images in a folder and its subfolders, without hidden files.

    Returns:
      Image files, sorted by name; and the name of each rejected file with the reason.
    """
    walk = _ImageFolderWalk(path)
    return sorted(walk.files, key=lambda file: file.name), sorted(walk.rejected)


class _ImageFolderWalk:
    """Walk through a folder once. Links to folders are not followed."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.real_root = os.path.realpath(root)
        self.files: list[DataFile] = []
        self.rejected: list[tuple[str, str]] = []
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(os.path.join(root, folder)) as entries:
                    children = list(entries)
            except OSError as error:
                self.rejected.append(
                    (to_printable(folder) or ".", f"folder cannot be read: {error.strerror}")
                )
                continue
            for entry in children:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.name.startswith(".") or entry.name.lower() in _SYSTEM_FILES:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                else:
                    self._add(name, entry)

    def _add(self, name: str, entry: os.DirEntry[str]) -> None:
        reason = self._find_problem(name, entry)
        if reason is not None:
            self.rejected.append((to_printable(name), reason))
            return
        try:
            status = entry.stat()
        except OSError as error:
            self.rejected.append((to_printable(name), f"cannot be read: {error.strerror}"))
            return
        if not stat.S_ISREG(status.st_mode):
            self.rejected.append((to_printable(name), "not a regular file"))
            return
        self.files.append(DataFile(name, status.st_size, status.st_mtime_ns))

    def _find_problem(self, name: str, entry: os.DirEntry[str]) -> str | None:
        if entry.is_symlink():
            real = os.path.realpath(entry.path)
            if not os.path.exists(real):
                return "a broken symbolic link"
            if os.path.commonpath((real, self.real_root)) != self.real_root:
                return "a symbolic link out of the data folder"
            if os.path.isdir(real):
                return "a symbolic link to a folder"
        if not name.lower().endswith(IMAGE_EXTENSIONS):
            return "no image file extension"
        if to_printable(name) != name:
            return "file name is not UTF-8"
        return None


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
