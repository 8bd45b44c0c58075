"""A gallery on disk: ``gallery.json`` says which files are its own, and is written last.

The examples lie in parts. A part is two Arrow files with the same rows and is never changed:
``examples-*.arrow`` (label, source, digest, embedding), which every search reads, and
``raw-*.arrow``, which is read when the gallery is embedded anew. A change writes new parts and then
replaces ``gallery.json``, so readers see the gallery of before or of after, and one that is killed
leaves that of before. Writers take turns by a lock.
"""

import contextlib
import fcntl
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pydantic

from diptych.schemas.errors import ModelError
from diptych.schemas.files import HALF, whole_file
from diptych.schemas.input_spec import Inputs
from diptych.schemas.manifest import File, ModelManifest, describe
from diptych.schemas.shards import write_json

_FORMAT = 1
_CATALOG, _LOCK = "gallery.json", ".lock"
_MAX_CATALOG_BYTES = 64 * 2**20
_OWN_FILE = re.compile(r"(examples|raw)-[0-9]{8}\.arrow")
_ROWS_A_BATCH = 1024


class Piece(File):
    """A file of a gallery."""

    name: Annotated[str, pydantic.Field(pattern=f"^{_OWN_FILE.pattern}$")]


class Part(pydantic.BaseModel):
    """Some examples: those of ``raw`` are the same rows."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    rows: Annotated[int, pydantic.Field(ge=1)]
    examples: Piece
    raw: Piece

    @property
    def size(self) -> int:
        """In bytes."""
        return self.examples.size + self.raw.size


class Embedder(pydantic.BaseModel):
    """The model that made the embeddings. Models of one digest are one, whatever their numbers."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int
    digest: str
    inputs: Inputs
    distance: str
    embedding_size: Annotated[int, pydantic.Field(ge=1, le=2**16)]

    @classmethod
    def of(cls, manifest: ModelManifest) -> "Embedder":
        """The one of a pushed model."""
        files = sorted((name, file.sha256) for name, file in manifest.files.items())
        return cls(
            name=manifest.name,
            version=manifest.version,
            digest=hashlib.sha256(repr(files).encode()).hexdigest(),
            inputs=manifest.inputs,
            distance=manifest.distance,
            embedding_size=manifest.embedding_size,
        )


class Catalog(pydantic.BaseModel):
    """All that a gallery holds."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    format: Annotated[int, pydantic.Field(ge=_FORMAT, le=_FORMAT)] = _FORMAT
    embedder: Embedder
    next_number: int = 0  # of a file; a name is used once, so a file that was read stays true
    parts: tuple[Part, ...] = ()

    def write(self, folder: Path) -> None:
        """Makes it the gallery's."""
        write_json(self, folder / _CATALOG)

    @classmethod
    def read(cls, folder: Path) -> "Catalog":
        """Reads it, without a look at the parts.

        Raises:
          ModelError: there is none, or none of this format.
        """
        path = folder / _CATALOG
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_CATALOG_BYTES)
        except OSError as error:
            raise ModelError(
                f"{folder} is no gallery: it has no {_CATALOG} ({error.strerror}). "
                "Make one with: diptych enroll GALLERY PATH"
            ) from error
        try:
            return cls.model_validate_json(content)
        except pydantic.ValidationError as error:
            raise ModelError(
                f"{path} is damaged, or of another version of Diptych: {error.error_count()} of "
                "its values do not fit. Restore it from a copy, or enroll into a new folder."
            ) from error


def exists(folder: Path) -> bool:
    """Whether there is a gallery, damaged or not."""
    return (folder / _CATALOG).exists()


def is_free(folder: Path) -> bool:
    """Whether a gallery can be made there: nothing is, or what another process has begun."""
    if not folder.exists():
        return True
    return folder.is_dir() and all(
        path.name == _LOCK or path.name.startswith(_CATALOG) for path in folder.iterdir()
    )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Waits until no other process writes; the lock ends with the process that has it.

    Raises:
      ModelError: there is no folder, or none that this user may write to.
    """
    try:
        file = (folder / _LOCK).open("ab")
    except OSError as error:
        raise ModelError(f"The gallery {folder} cannot be changed: {error.strerror}.") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def examples_schema(embedding_size: int) -> pa.Schema:
    """Of ``examples-*.arrow``; ``digest`` is the SHA-256 of the raw example."""
    return pa.schema(
        [
            pa.field("label", pa.large_string(), nullable=False),
            pa.field("source", pa.large_string(), nullable=False),
            pa.field("digest", pa.binary(32), nullable=False),
            pa.field("embedding", list_of_floats(embedding_size), nullable=False),
        ]
    )


def raw_schema(inputs: Inputs) -> pa.Schema:
    """Of ``raw-*.arrow``: encoded images as they came, or vectors."""
    image = inputs.kind == "image"
    kind = pa.large_binary() if image else list_of_floats(inputs.shape.shape[0])
    return pa.schema([pa.field("raw", kind, nullable=False)])


def list_of_floats(size: int) -> pa.DataType:
    """Vectors of so many float32."""
    return pa.list_(pa.field("item", pa.float32(), nullable=False), size)


def floats_to_arrow(values: np.ndarray) -> pa.Array:
    """(n, size) float32 to a column."""
    flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=list_of_floats(values.shape[1]))


def floats_to_numpy(column: pa.ChunkedArray, size: int) -> np.ndarray:
    """A column to (n, size) float32."""
    chunks: list[np.ndarray] = [
        chunk.flatten().to_numpy().reshape(-1, size) for chunk in column.chunks
    ]
    if len(chunks) == 1:
        return chunks[0]
    return np.concatenate([np.empty((0, size), np.float32), *chunks])


def read_piece(folder: Path, piece: Piece, schema: pa.Schema, rows: int) -> pa.Table:
    """A file of a part, mapped into memory.

    Raises:
      FileNotFoundError: it is gone: the gallery has changed since the catalog was read.
      ModelError: it is not what was written.
    """
    path = folder / piece.name
    why = "it has changed since it was written"
    try:
        if describe(path) == File(size=piece.size, sha256=piece.sha256):
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            if table.schema.equals(schema) and table.num_rows == rows:
                table.validate(full=True)
                return table
            why = "its columns or rows are not those of the gallery"
    except pa.ArrowInvalid as error:
        why = f"it is no valid Arrow file ({str(error).splitlines()[0]})"
    raise ModelError(
        f"{path} is damaged: {why}. Restore it from a copy, or enroll into a new folder."
    )


def write_piece(folder: Path, name: str, table: pa.Table) -> Piece:
    """Writes a file of a part, in record batches of bounded rows."""
    path = folder / name
    with whole_file(path) as beside:
        with pa.OSFile(str(beside), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
            out.write_table(table.combine_chunks(), max_chunksize=_ROWS_A_BATCH)
        piece = Piece(name=name, **describe(beside).model_dump())
    return piece


def tidy(folder: Path, catalog: Catalog) -> None:
    """Removes files that are no longer, or never were, the gallery's. The lock must be held."""
    own = {piece.name for part in catalog.parts for piece in (part.examples, part.raw)}
    for path in folder.iterdir():
        name = path.name
        left = _OWN_FILE.fullmatch(name) and name not in own
        half = _OWN_FILE.match(name) or name.startswith(f"{_CATALOG}.")
        if left or (half and name.endswith(HALF)):
            path.unlink()
