"""Location of the examples of a list of given pairs, checked before a run starts."""

import hashlib
import os
import re
from pathlib import Path

import numpy as np

from diptych.components.common.label_text import normalize_text
from diptych.components.evaluator.pair_list import PairList, read_pair_list
from diptych.schemas.config.data import DataConfig
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.json_model import JsonModel
from diptych.schemas.shards import ID_BYTES

_ID = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}")


class PairListSource(JsonModel):
    """A list of given pairs, and the folders of its images.

    Attributes:
      file: Path of the list.
      folders: Folders to which paths of images are relative, in order; empty for vectors.
      max_bytes: Maximum size of an image file.
      max_pixels: Maximum height x width of an image.
      fingerprint: Digest of the list and of the names, sizes and times of the images.
    """

    file: str
    folders: tuple[str, ...] = ()
    max_bytes: int = 0
    max_pixels: int = 0
    fingerprint: str = ""


def inspect_pair_list(file: str, data: DataConfig, inputs: InputSpec) -> PairListSource:
    """Read a list of pairs and find its images.

    Raises:
      ConfigError: If the file is missing or cannot be read.
      DataError: See ``read_pair_list``; also if the list names images that do not exist, or images
        for a model of vectors.
    """
    pairs = read_pair_list(Path(file))
    digest = hashlib.blake2b(digest_size=16)
    digest.update(Path(file).read_bytes())
    if inputs.kind != "image":
        if pairs.is_lfw:
            raise DataError(
                f"evaluate.pairs {file} lists images, but the data are vectors. Use a table with "
                "the ids or sources of examples."
            )
        return PairListSource(file=file, fingerprint=digest.hexdigest())
    folders = _list_folders(file, data)
    names = np.unique(np.concatenate([pairs.left, pairs.right]))
    found = find_image_files(names.tolist(), folders, is_lfw=pairs.is_lfw)
    missing = [name for name, path in zip(names.tolist(), found, strict=True) if path is None]
    # The sources of a folder of images are paths below it. Others name a span, or a row of a file.
    sources_are_paths = data.kind == "images" and data.table is None and os.path.isdir(data.path)
    unknown = [name for name in missing if pairs.is_lfw or not _may_be_key(name, sources_are_paths)]
    if unknown:
        ending = ".*" if pairs.is_lfw else ""
        expected = "a file" if pairs.is_lfw else "a file or the id of an example"
        raise DataError(
            f"evaluate.pairs {file}: {len(unknown):,} of {len(names):,} examples do not exist, "
            f"such as {unknown[0] + ending!r}. Expected {expected} relative to "
            f"{' or '.join(folders)}."
        )
    for name, path in zip(names.tolist(), found, strict=True):
        if path is not None:
            status = os.stat(path)
            digest.update(
                f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape")
            )
    limits = {name: getattr(data, name) for name in ("max_bytes", "max_pixels")}
    return PairListSource(
        file=file, folders=tuple(folders), fingerprint=digest.hexdigest(), **limits
    )


def find_image_files(
    names: list[str], folders: tuple[str, ...] | list[str], *, is_lfw: bool
) -> list[str | None]:
    """Find the file of each name, or None.

    Args:
      names: Absolute or relative paths.
      folders: Folders to which they are relative; the first one with such a file is used.
      is_lfw: The names have no extension.
    """
    listing = _FolderListing()

    def find(name: str) -> str | None:
        for folder in folders:
            path = os.path.join(folder, name)
            if not is_lfw and os.path.isfile(path):
                return path
            *parents, last = name.split("/")
            # A file system may store the same text in another normal form than the list.
            parent: str | None = folder
            for part in parents:
                parent = parent and listing.find(parent, part)
            found = parent and listing.find(parent, last, without_extension=is_lfw)
            if found and os.path.isfile(found):
                return found
        return None

    return [find(name) for name in names]


class _FolderListing:
    """Entries of folders by normalized name; each folder is read once."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, bool], dict[str, str]] = {}

    def find(self, folder: str, name: str, *, without_extension: bool = False) -> str | None:
        """Return the path of an entry, or None; of several, the first by name."""
        key = (folder, without_extension)
        if key not in self._entries:
            entries = sorted(os.listdir(folder), reverse=True) if os.path.isdir(folder) else []
            self._entries[key] = {
                normalize_text(os.path.splitext(entry)[0] if without_extension else entry): entry
                for entry in entries
            }
        entry = self._entries[key].get(normalize_text(name))
        return None if entry is None else os.path.join(folder, entry)


def resolve_pair_list(source: PairListSource) -> tuple[PairList, list[str], list[str | None]]:
    """Read the list again, and find its images.

    Returns:
      The pairs, the distinct names of their examples, and the image file of each name or None.
    """
    pairs = read_pair_list(Path(source.file))
    names = np.unique(np.concatenate([pairs.left, pairs.right])).tolist()
    if not source.folders:
        return pairs, names, [None] * len(names)
    return pairs, names, find_image_files(names, source.folders, is_lfw=pairs.is_lfw)


def _list_folders(file: str, data: DataConfig) -> list[str]:
    folders = [os.path.dirname(os.path.abspath(file))]
    others = [getattr(data, name, None) for name in ("images", "path", "table")]
    for path in filter(None, others):
        if os.path.isdir(path):
            folders.append(path)
        elif os.path.isfile(path):
            folders.append(os.path.dirname(os.path.abspath(path)))
    return list(dict.fromkeys(folders))


def _may_be_key(name: str, sources_are_paths: bool) -> bool:
    """Return whether a name that is not a file may be the id or source of an example."""
    return _ID.fullmatch(name) is not None or not sources_are_paths
