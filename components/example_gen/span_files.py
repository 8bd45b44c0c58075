"""Find the files of the data, and compute a fingerprint that changes with them."""

import collections
import dataclasses
import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from diptych.components.common.data_files import (
    FOLLOWABLE_LINKS,
    DataFile,
    find_data_files,
    find_images,
    has_table_extension,
    split_existing_folder,
    to_printable,
)
from diptych.components.common.file_types import format_list
from diptych.components.common.label_text import normalize_text
from diptych.components.common.table_rows import TextSettings
from diptych.components.common.tables.file_formats import find_foreign_file
from diptych.components.example_gen.image_cells import ImageLocator, list_image_files
from diptych.components.example_gen.image_columns import count_image_paths, find_image_columns
from diptych.components.example_gen.path_levels import check_levels_are_clear, find_level_problem
from diptych.components.example_gen.spans import Span, find_spans, has_spans
from diptych.schemas.config.data import (
    DataConfig,
    ImageFolder,
    PairTable,
    Table,
    TFRecords,
)
from diptych.schemas.errors import ConfigError, DataError, DiptychError


@dataclasses.dataclass(frozen=True)
class SpanFiles:
    """Files of one span, or of all data without spans.

    Attributes:
      root: Folder of the files.
      files: Usable files, sorted by name.
      rejected: Name of each unusable file, and the reason.
      ignored: Name of each file that is not data, and the reason.
      findings: Name and text of each observation about the files.
      images: Image files that the rows of ``files`` name, sorted; without size if missing.
      image_columns: Columns of ``files`` with images or their paths; empty for other data.
      image_bytes: Size of the images in all rows, which may repeat an image.
      span: None for data without spans.
      error: Why an older span has no usable files; empty otherwise.
    """

    root: Path
    files: tuple[DataFile, ...]
    rejected: tuple[tuple[str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    findings: tuple[tuple[str, str], ...] = ()
    images: tuple[DataFile, ...] = ()
    image_columns: tuple[str, ...] = ()
    image_bytes: int = 0
    span: Span | None = None
    error: str = ""

    @property
    def name(self) -> str:
        """Name of the span; empty for data without spans."""
        return self.span.name if self.span else ""

    @property
    def num_bytes(self) -> int:
        """Total size of the files; an estimate of the size of the examples if larger."""
        return sum(file.example_size for file in self.files) + self.image_bytes

    @property
    def fingerprint(self) -> str:
        """Hash of the names, sizes and modification times; independent of the folder.

        Ignored files are not part of it: they do not change the model.
        """
        digest = hashlib.blake2b(digest_size=16)
        for file in (*self.files, *self.images):
            digest.update(
                f"{file.name}\0{file.size}\0{file.mtime_ns}\n".encode(errors="surrogateescape")
            )
        for name, reason in self.rejected:
            digest.update(f"{name}\0{reason}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


def compute_fingerprint(spans: Sequence[SpanFiles], corrections: str | None = None) -> str:
    """Compute a fingerprint that changes with the files of any span, the window and corrections.

    Args:
      spans: Files of the data.
      corrections: The file ``data.corrections``.
    """
    if len(spans) == 1 and spans[0].span is None:
        fingerprint = spans[0].fingerprint
    else:
        digest = hashlib.blake2b(digest_size=16)
        for files in spans:
            digest.update(f"{files.span}\0{files.fingerprint}\0{files.error}\n".encode())
        fingerprint = digest.hexdigest()
    if corrections is None:
        return fingerprint
    try:
        content = Path(corrections).read_bytes()
    except OSError:  # reported when the step reads them
        content = b""
    return hashlib.blake2b(fingerprint.encode() + content, digest_size=16).hexdigest()


def find_span_files(data: DataConfig) -> tuple[SpanFiles, ...]:
    """Find the files of each span in the window, newest last.

    Data without spans have a single entry. For an older span without usable files, ``error`` is
    set.

    Raises:
      ConfigError: See ``find_files`` and ``find_spans``; also if a window is set without spans.
      DataError: See there; also if the newest span has no usable file, or if the role of nested
        folders is not clear.
    """
    spans = _find_span_files(data)
    if isinstance(data, ImageFolder) and data.levels is None and data.table is None:
        check_levels_are_clear([file.name for span in spans for file in span.files])
    return spans


def _find_span_files(data: DataConfig) -> tuple[SpanFiles, ...]:
    if not has_spans(data.path):
        if data.window is not None:
            raise ConfigError(
                f"data.window is {data.window}, but data.path has no spans: {data.path}. "
                "Add {SPAN}, or {YYYY}, {MM} and {DD} to data.path, or remove data.window."
            )
        return (find_files(data),)
    _require_mounted_path(data.path)
    *older, newest = find_spans(data.path, data.window)
    try:
        found = [_find_files_of_span(data, newest)]
    except DiptychError as error:
        raise DataError(
            f"The newest span, {newest.name}, has no usable files: {error} If it is still being "
            "written, run again when it is complete. To avoid this, write a span under a temporary "
            "name and rename it."
        ) from error
    for span in reversed(older):
        try:
            found.append(_find_files_of_span(data, span))
        except DiptychError as error:
            found.append(SpanFiles(Path(span.path), (), span=span, error=str(error)))
    return tuple(reversed(found))


def _find_files_of_span(data: DataConfig, span: Span) -> SpanFiles:
    files = find_files(data.model_copy(update={"path": span.path}))
    return dataclasses.replace(files, span=span)


def find_files(data: DataConfig) -> SpanFiles:
    """Find the files of data without spans.

    Raises:
      ConfigError: If ``data.path`` does not exist, is a file instead of a folder, or is not on a
        mounted disk.
      DataError: If it has no file of the configured kind.
    """
    _require_mounted_path(data.path)
    if isinstance(data, ImageFolder) and data.table is not None:
        _require_folder(data.path, "with the images of data.table")
        tables = Table(kind="table", path=data.table, label="")
        return _with_listed_images(_list_files(tables, "data.table"), data)
    if isinstance(data, ImageFolder):
        _require_folder(data.path, "with one subfolder per class")
        return _find_images(data)
    files = _list_files(data, "data.path")
    return _with_listed_images(files, data) if isinstance(data, PairTable) else files


def _require_folder(path: str, content: str) -> None:
    if not os.path.exists(path):
        raise ConfigError(f"data.path does not exist: {path}. Check the path.")
    if not os.path.isdir(path):
        raise ConfigError(f"data.path must be a folder {content}, got a file: {path}.")


def _list_files(data: Table | PairTable | TFRecords, key: str) -> SpanFiles:
    """List the files that ``data.path`` names; ``key`` is its key in error messages."""
    path = data.path
    ignored: list[tuple[str, str]] = []
    extensions = (
        "*.tfrecord*, *.gz"
        if isinstance(data, TFRecords)
        else "*.csv, *.tsv, *.parquet, *.feather, *.jsonl"
    )
    if os.path.isfile(path):
        root, names = os.path.dirname(path) or ".", [os.path.basename(path)]
    elif os.path.isdir(path):
        root = path
        is_data = _has_tfrecord_name if isinstance(data, TFRecords) else has_table_extension
        names, others = find_data_files(path, is_data)
        ignored = [(to_printable(name), _explain_ignored(root, name)) for name in others]
        if not names:
            foreign = None if isinstance(data, TFRecords) else find_foreign_file(Path(path))
            if foreign is not None:
                raise DataError(f"No table in {path}: {foreign}")
            raise DataError(
                f"No data files ({extensions}) in {path}. Check {key}; for files in subfolders "
                f"use a pattern such as {os.path.join(path, '**', '*.csv')}."
            )
    elif glob.has_magic(path):
        root, pattern = split_existing_folder(path)
        matches = glob.glob(pattern, root_dir=root, recursive=True)
        names = [match for match in matches if os.path.isfile(os.path.join(root, match))]
        if not names:
            raise ConfigError(f"No file matches {key} {path}. Check the pattern.")
    else:
        raise ConfigError(f"{key} does not exist: {path}. Check the path.")
    files = []
    for name in sorted(names):
        if to_printable(name) != name:
            raise DataError(
                f"The name of the file {to_printable(name)} in {root} is not UTF-8. Rename it."
            )
        status = os.stat(os.path.join(root, name))
        files.append(DataFile(name.replace(os.sep, "/"), status.st_size, status.st_mtime_ns))
    if not any(file.size for file in files):
        raise DataError(
            f"All files in {path} are empty (0 bytes). Check how the data were written."
        )
    ignored += [(file.name, "empty (0 bytes)") for file in files if not file.size]
    return SpanFiles(Path(root), tuple(files), ignored=tuple(sorted(ignored)))


def _explain_ignored(root: str, name: str) -> str:
    path = os.path.join(root, name)
    if name.endswith("/"):
        return "subfolder; to read it, use a pattern with ** in data.path"
    if os.path.isdir(path):
        return "a symbolic link to a folder"
    if not os.path.isfile(path):
        return "not a regular file" if os.path.exists(path) else "a broken symbolic link"
    return "file without the extension of such data"


def _with_listed_images(tables: SpanFiles, data: ImageFolder | PairTable) -> SpanFiles:
    """Add the images that the rows of tables name."""
    paths = [tables.root / file.name for file in tables.files]
    settings = TextSettings.from_config(data)
    columns = find_image_columns(data, paths, settings)
    if not columns:
        return tables
    locator = ImageLocator.of_data(data, tables.root)
    counts = count_image_paths(paths, columns, settings)
    images = list_image_files(counts, locator)
    image_bytes = sum(counts[image.name] * image.size for image in images)
    return dataclasses.replace(
        tables,
        ignored=(),  # mostly images
        images=tuple(images),
        image_columns=columns,
        image_bytes=image_bytes,
    )


def _require_mounted_path(path: str) -> None:
    if "://" in path:
        raise ConfigError(
            f"data.path must be on a mounted disk, got {path!r}. "
            "Mount the bucket, or copy the data to a disk."
        )


def _has_tfrecord_name(name: str) -> bool:
    lower = name.lower()
    return "tfrecord" in lower or lower.endswith((".gz", ".tfr"))


def _find_images(data: ImageFolder) -> SpanFiles:
    path = data.path
    if data.follow_links is not None and not os.path.isdir(data.follow_links):
        raise ConfigError(
            f"data.follow_links must be a folder, got {data.follow_links}. Name the folder that "
            "contains the targets of the symbolic links, or set it to null."
        )
    found = find_images(path, data.follow_links)
    problems = [(file, find_level_problem(file.name, data.levels)) for file in found.files]
    files = tuple(file for file, problem in problems if problem is None)
    rejected = [
        (name, f"{reason} (see data.follow_links)" if reason in FOLLOWABLE_LINKS else reason)
        for name, reason in found.rejected
    ]
    rejected += [(file.name, problem) for file, problem in problems if problem is not None]
    rejected.sort()
    if not files:
        unusable = rejected or found.ignored
        example = f" Not usable: {unusable[0][0]}: {unusable[0][1]}." if unusable else ""
        advice = (
            " Put the images of each class into a separate subfolder, or list their labels in a "
            "table (data.table)."
        )
        if found.rejected and not found.files:  # the reason states what to do
            advice = ""
        raise DataError(
            f"No images ({format_list()}) in the class folders of {path}.{example}"
            f"{found.advise_following() or advice}"
        )
    return SpanFiles(
        Path(path), files, tuple(rejected), found.ignored, tuple(_find_merged_folders(files))
    )


def _find_merged_folders(files: Iterable[DataFile]) -> Iterator[tuple[str, str]]:
    """Yield the folders whose names differ only in the normal form or in white space."""
    folders = sorted({os.path.dirname(file.name) for file in files})
    texts = {folder: "/".join(map(normalize_text, folder.split("/"))) for folder in folders}
    sizes = collections.Counter(texts.values())
    for folder, text in texts.items():
        if sizes[text] > 1:
            yield folder, "one class with another folder, whose name is the same text"
