"""Images in the cells of a table: the path of a file, its bytes, or a struct of both.

A struct has the fields ``bytes`` and ``path``, as Hugging Face data sets have.
"""

import dataclasses
import functools
import os
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.common import cell_values as values
from diptych.components.common.data_files import DataFile
from diptych.components.common.images import read_bounded
from diptych.components.common.row_parsing import RejectionReasons
from diptych.components.common.table_rows import format_names
from diptych.schemas.config.data import ImageFolder, PairTable
from diptych.schemas.errors import ConfigError

IMAGE_COLUMN_NAMES = (
    *("image", "images", "img", "image_path", "img_path", "image_file", "path", "file"),
    *("filename", "file_name", "filepath", "file_path", "picture", "photo"),
)
"""Usual names of a column with images or their paths, the most specific first."""

_MISSING_FILE = "image file does not exist"
_OUTSIDE = "path leaves the folder of the images (data.follow_links allows a folder)"

ImageSource = bytes | str | None
"""The encoded image, the path of its file, or None for an empty cell."""


@dataclasses.dataclass(frozen=True)
class ImageLocator:
    """Find image files by the paths in a table.

    Attributes:
      folders: Relative paths start in the first of these folders that contains the file.
      allowed: Folders without symbolic links; other files are refused.
    """

    folders: tuple[str, ...]
    allowed: tuple[str, ...]

    @classmethod
    def of_data(cls, data: ImageFolder | PairTable, table_folder: Path) -> "ImageLocator":
        """Create a locator for the paths in a table of the data."""
        if isinstance(data, ImageFolder):
            folders = [data.path, str(table_folder)]
            allowed = [data.path]
        else:
            folders = [data.images or str(table_folder)]
            allowed = list(folders)
        allowed += [data.follow_links] if data.follow_links else []
        return cls(tuple(folders), tuple(map(os.path.realpath, allowed)))

    def locate(self, text: str) -> tuple[str, str | None]:
        """Return the path of a file, and None or why it cannot be used."""
        if "://" in text:
            return text, "a URL instead of a path: download the images first"
        problem = _MISSING_FILE
        for name in _list_spellings(text):
            for folder in self.folders:
                path = os.path.join(folder, name)
                real = _resolve(path)
                if real is None:
                    continue
                if not any(_is_inside(real, allowed) for allowed in self.allowed):
                    problem = _OUTSIDE
                elif not os.path.isfile(real):
                    problem = "not a regular file"
                else:
                    return path, None
        return text, problem


def _list_spellings(text: str) -> list[str]:
    """List the names that a path may have on disk: macOS decomposes characters."""
    names = [text, text.replace("\\", "/")]
    if not text.isascii():
        names += [unicodedata.normalize(form, name) for form in ("NFC", "NFD") for name in names]
    return list(dict.fromkeys(names))


def _resolve(path: str) -> str | None:
    """Return the real path of an existing file; None if it does not exist."""
    folder, name = os.path.split(path)
    if "\0" in path or name in ("", ".", ".."):
        return None
    real = os.path.join(_real_folder(folder), name)
    try:
        is_link = stat.S_ISLNK(os.lstat(real).st_mode)
    except OSError:
        return None
    if not is_link:
        return real
    real = os.path.realpath(real)
    return real if os.path.exists(real) else None


@functools.lru_cache(1 << 14)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def _is_inside(path: str, folder: str) -> bool:
    return os.path.commonpath((path, folder)) == folder


def find_image_column(data: ImageFolder, names: Sequence[str]) -> str:
    """Return ``data.image``, or the column with a usual name.

    Raises:
      ConfigError: If no column has a usual name.
    """
    if data.image is not None:
        return data.image
    by_name = {name.lower(): name for name in reversed(names)}
    found = next((by_name[name] for name in IMAGE_COLUMN_NAMES if name in by_name), None)
    if found is None:
        raise ConfigError(
            f"data.image: no column is named like {format_names(IMAGE_COLUMN_NAMES, 20)}. The "
            f"columns are: {format_names(list(names))}. Name the column with the images or their "
            "paths."
        )
    return found


def can_hold_images(data_type: pa.DataType) -> bool:
    """Return whether cells of this type can be paths, bytes or structs of both."""
    if pa.types.is_dictionary(data_type):
        data_type = data_type.value_type
    return values.is_text(data_type) or _is_image_struct(data_type)


def holds_image_bytes(data_type: pa.DataType) -> bool:
    """Return whether cells of this type hold images themselves, if they are not from a CSV file."""
    types = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(is_type(data_type) for is_type in types) or _is_image_struct(data_type)


def _is_image_struct(data_type: pa.DataType) -> bool:
    if not pa.types.is_struct(data_type):
        return False
    fields = {field.name: field.type for field in data_type}
    return "bytes" in fields and holds_image_bytes(fields["bytes"])


def to_image_sources(cells: pa.Array, is_csv: bool) -> list[ImageSource]:
    """Convert cells to images or paths. Cells of CSV files are always paths."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if _is_image_struct(cells.type):
        contents = cells.field("bytes").to_pylist()
        has_path = cells.type.get_field_index("path") >= 0
        paths = to_paths(cells.field("path")).to_pylist() if has_path else [None] * len(cells)
        pairs = zip(contents, paths, cells.is_valid().to_pylist(), strict=True)
        return [(content or path) if valid else None for content, path, valid in pairs]
    if not is_csv and holds_image_bytes(cells.type):
        contents = cells.to_pylist()
        return list(contents)
    return list(to_paths(cells).to_pylist())


def to_paths(cells: pa.Array) -> pa.Array:
    """Convert cells to paths without surrounding white space; null if empty or not UTF-8.

    Unlike labels, paths are not normalised: the name of a file must match exactly.
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if not values.is_text(cells.type):
        return values.as_text(cells)
    try:
        text = cells.cast(pa.string())
    except pa.ArrowInvalid:
        cells = cells.cast(pa.binary()).to_pylist()
        text = pa.array([_decode(cell) for cell in cells], pa.string())
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _decode(cell: bytes | None) -> str | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        return None


def read_image_sources(
    sources: Sequence[ImageSource],
    column: str,
    locator: ImageLocator,
    max_bytes: int,
    reasons: RejectionReasons,
) -> list[bytes | None]:
    """Read the images of the rows that are not rejected, and reject rows without one.

    Returns:
      One image per row, at most ``max_bytes`` + 1 bytes of a file; None for rejected rows.
    """
    images: list[bytes | None] = []
    for row, source in enumerate(sources):
        image = None
        if reasons[row] is None:
            image, reasons[row] = _read_source(source, column, locator, max_bytes)
        images.append(image)
    return images


def _read_source(
    source: ImageSource, column: str, locator: ImageLocator, max_bytes: int
) -> tuple[bytes | None, str | None]:
    if source is None:
        return None, values.describe_problem(column, values.MISSING)
    if isinstance(source, bytes):
        return source, None
    path, problem = locator.locate(source)
    if problem is not None:
        return None, f"column {column!r}: {problem}"
    try:
        return read_bounded(Path(path), max_bytes), None
    except OSError as error:
        return None, f"column {column!r}: image file cannot be read: {error.strerror}"


def list_image_files(paths: Iterable[str], locator: ImageLocator) -> list[DataFile]:
    """List the files of distinct paths, sorted by name; a missing file has no size."""
    files = []
    for text in paths:
        path, problem = locator.locate(text)
        size, mtime_ns = 0, 0
        if problem is None:
            status = os.stat(path)
            size, mtime_ns = status.st_size, status.st_mtime_ns
        files.append(DataFile(text, size, mtime_ns))
    return sorted(files, key=lambda file: file.name)
