"""Storage format of a gallery: immutable Arrow files, listed in ``gallery.json``.

The examples are stored in parts. A part is a pair of Arrow files with the same rows and is never
modified: ``examples-*.arrow`` (label, source, digest, embedding), read by every search, and
``raw-*.arrow``, read to re-embed the gallery. A change writes new parts and then replaces
``gallery.json``, so readers see the gallery either before or after the change, and a killed writer
does not damage it. A file lock serializes writers.
"""

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pydantic

from diptych.schemas.errors import ModelError
from diptych.schemas.files import (
    PARTIAL_SUFFIX,
    atomic_write,
    open_regular_file,
    read_regular_file,
)
from diptych.schemas.input_spec import EmbeddingSize, InputSpec, ModelInputs
from diptych.schemas.json_model import write_json
from diptych.schemas.manifest import FileDigest, ModelManifest, compute_digest

_FORMAT = 1
_CATALOG_NAME, _LOCK_NAME = "gallery.json", ".lock"
_MAX_CATALOG_BYTES = 64 * 2**20
_ARROW_FILE_NAME = re.compile(r"(examples|raw)-[0-9]{8}\.arrow")
_ROWS_PER_RECORD_BATCH = 1024


class GalleryWriteError(ModelError):
    """The files of a gallery cannot be written: a full disk, missing permissions."""


class GalleryFile(FileDigest):
    """Name, size and digest of an Arrow file of the gallery."""

    name: Annotated[str, pydantic.Field(pattern=f"^{_ARROW_FILE_NAME.pattern}$")]


class GalleryPart(pydantic.BaseModel):
    """A pair of files: row i of ``raw`` is the raw example of row i of ``examples``."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    rows: Annotated[int, pydantic.Field(ge=1)]
    examples: GalleryFile
    raw: GalleryFile

    @property
    def num_bytes(self) -> int:
        """Size of both files."""
        return self.examples.size + self.raw.size


class ModelIdentity(pydantic.BaseModel):
    """The model that computed the embeddings.

    Models with equal digests are the same model, even with different version numbers.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int
    digest: str
    inputs: ModelInputs
    distance: str
    embedding_size: EmbeddingSize

    @classmethod
    def from_manifest(cls, manifest: ModelManifest) -> "ModelIdentity":
        """Return the identity of a pushed model."""
        files = sorted((name, file.sha256) for name, file in manifest.files.items())
        return cls(
            name=manifest.name,
            version=manifest.version,
            digest=hashlib.sha256(repr(files).encode()).hexdigest(),
            inputs=manifest.inputs,
            distance=manifest.distance,
            embedding_size=manifest.embedding_size,
        )


class GalleryCatalog(pydantic.BaseModel):
    """Content of ``gallery.json``: the model and the files of the gallery."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    format: Annotated[int, pydantic.Field(ge=_FORMAT, le=_FORMAT)] = _FORMAT
    embedder: ModelIdentity
    # Of the next file; names have 8 digits and are not reused, so a cached file stays valid.
    next_number: Annotated[int, pydantic.Field(ge=0, lt=10**8)] = 0
    parts: tuple[GalleryPart, ...] = ()

    def write(self, folder: Path) -> None:
        """Replace the catalog of the gallery, which commits a change."""
        write_json(self, folder / _CATALOG_NAME)

    @classmethod
    def read(cls, folder: Path) -> "GalleryCatalog":
        """Read the catalog without reading the parts.

        Raises:
          ModelError: If the catalog is missing or has an unexpected format.
        """
        path = folder / _CATALOG_NAME
        try:
            content = read_regular_file(path, _MAX_CATALOG_BYTES)
        except OSError as error:
            raise ModelError(
                f"{folder} is not a gallery: {_CATALOG_NAME} is missing ({error.strerror}). "
                "Create one with: diptych enroll GALLERY PATH"
            ) from error
        try:
            return cls.model_validate_json(content)
        except pydantic.ValidationError as error:
            raise ModelError(
                f"{path} is damaged or was written by another version of Diptych: "
                f"{error.error_count()} invalid values. Restore it from a copy, or enroll into a "
                "new folder."
            ) from error


def gallery_exists(folder: Path) -> bool:
    """Return True if the folder holds a gallery, damaged or not."""
    return (folder / _CATALOG_NAME).exists()


def can_create_gallery(folder: Path) -> bool:
    """Return True if the folder is missing, empty, or holds only an unfinished new gallery."""
    if not folder.exists():
        return True
    return folder.is_dir() and all(
        path.name == _LOCK_NAME or path.name.startswith(_CATALOG_NAME) for path in folder.iterdir()
    )


@contextlib.contextmanager
def lock_gallery(folder: Path) -> Iterator[None]:
    """Wait for other writers and hold the write lock; it is released if the process ends.

    Raises:
      GalleryWriteError: If the folder is missing or not writable, or its disk is full.
    """
    try:
        with open(open_regular_file(folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        name = f" ({Path(error.filename).name})" if error.filename else ""
        raise GalleryWriteError(
            f"The gallery {folder} cannot be changed: {error.strerror or error}{name}. "
            "Check its disk and its permissions, and repeat the command."
        ) from error


def gallery_examples_schema(embedding_size: int) -> pa.Schema:
    """Return the schema of ``examples-*.arrow``; ``digest`` is the SHA-256 of the raw example."""
    return pa.schema(
        [
            pa.field("label", pa.large_string(), nullable=False),
            pa.field("source", pa.large_string(), nullable=False),
            pa.field("digest", pa.binary(32), nullable=False),
            pa.field("embedding", _vector_type(embedding_size), nullable=False),
        ]
    )


def gallery_raw_schema(inputs: InputSpec) -> pa.Schema:
    """Return the schema of ``raw-*.arrow``: encoded images as received, or vectors."""
    is_image = inputs.kind == "image"
    raw_type = pa.large_binary() if is_image else _vector_type(inputs.shape.shape[0])
    return pa.schema([pa.field("raw", raw_type, nullable=False)])


def encode_vectors(vectors: np.ndarray) -> pa.Array:
    """Convert (n, size) float32 to an Arrow array of fixed-size lists."""
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=_vector_type(vectors.shape[1]))


def decode_vectors(column: pa.ChunkedArray, size: int) -> np.ndarray:
    """Convert an Arrow column of fixed-size lists to (n, size) float32."""
    chunks: list[np.ndarray] = [
        chunk.flatten().to_numpy().reshape(-1, size) for chunk in column.chunks
    ]
    if len(chunks) == 1:
        return chunks[0]
    return np.concatenate([np.empty((0, size), np.float32), *chunks])


def read_gallery_file(folder: Path, file: GalleryFile, schema: pa.Schema, rows: int) -> pa.Table:
    """Read a file of a part and verify it.

    The file is not memory-mapped: if a program such as rsync truncated it in place, the next access
    would end this process with SIGBUS.

    Raises:
      FileNotFoundError: If the file is gone because the gallery changed after the catalog was read.
      ModelError: If the file is damaged.
    """
    path = folder / file.name
    problem = "it has changed since it was written"
    try:
        content = read_regular_file(path, file.size + 1)
        if len(content) == file.size and hashlib.sha256(content).hexdigest() == file.sha256:
            table = pa.ipc.open_file(pa.py_buffer(content)).read_all()
            if table.schema.equals(schema) and table.num_rows == rows:
                table.validate(full=True)
                return table
            problem = "its columns or its number of rows do not match the gallery"
    except pa.ArrowInvalid as error:
        problem = f"it is not a valid Arrow file ({str(error).splitlines()[0]})"
    except FileNotFoundError:
        raise
    except OSError as error:
        problem = f"it cannot be read ({error.strerror})"
    raise ModelError(
        f"{path} is damaged: {problem}. Restore it from a copy, or enroll into a new folder."
    )


def write_gallery_file(folder: Path, name: str, table: pa.Table) -> GalleryFile:
    """Write a file of a part in record batches of bounded size."""
    path = folder / name
    with atomic_write(path) as tmp_path:
        with tmp_path.open("wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
            out.write_table(table.combine_chunks(), max_chunksize=_ROWS_PER_RECORD_BATCH)
        file = GalleryFile(name=name, **compute_digest(tmp_path).model_dump())
    return file


def delete_unlisted_files(folder: Path, catalog: GalleryCatalog) -> None:
    """Delete Arrow files that the catalog does not list, and partial files. Requires the lock."""
    listed = {file.name for part in catalog.parts for file in (part.examples, part.raw)}
    for path in folder.iterdir():
        name = path.name
        is_unlisted = _ARROW_FILE_NAME.fullmatch(name) and name not in listed
        is_ours = _ARROW_FILE_NAME.match(name) or name.startswith(f"{_CATALOG_NAME}.")
        if is_unlisted or (is_ours and name.endswith(PARTIAL_SUFFIX)):
            path.unlink()


def _vector_type(size: int) -> pa.DataType:
    return pa.list_(pa.field("item", pa.float32(), nullable=False), size)
