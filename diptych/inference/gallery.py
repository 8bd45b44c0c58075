"""Galleries: labelled examples that let a model identify classes it was not trained on."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from diptych.components.common.images import prepare_image
from diptych.components.common.label_text import normalize_text
from diptych.components.common.table_rows import format_names
from diptych.inference.gallery_changes import add_examples, remove_label, replace_embeddings
from diptych.inference.gallery_files import (
    GalleryCatalog,
    GalleryWriteError,
    ModelIdentity,
    can_create_gallery,
    delete_unlisted_files,
    encode_vectors,
    gallery_examples_schema,
    gallery_exists,
    gallery_raw_schema,
    lock_gallery,
)
from diptych.inference.gallery_snapshot import (
    GallerySnapshot,
    check_comparable,
    compute_example_digest,
    load_snapshot,
)
from diptych.inference.pushed_model import PushedModel
from diptych.inference.raw_images import limits_of_model
from diptych.schemas.errors import DataError, ModelError
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.versions import is_saved_model

_MAX_LABEL_BYTES = 1_000
_MAX_SOURCE_BYTES = 10_000
_READ_ATTEMPTS = 5


class OtherModelError(ModelError):
    """A gallery holds embeddings of another model."""


class GalleryModel(Protocol):
    """A model that a gallery can use, such as ``PushedModel``."""

    @property
    def folder(self) -> Path:
        """Folder of the version."""
        ...

    @property
    def manifest(self) -> ModelManifest:
        """Manifest of the version."""
        ...

    def distance(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Compute the distances (m,) between the rows of two (m, size) arrays of embeddings."""
        ...


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """An example that the gallery already contains with another label."""

    source: str
    label: str
    known_as: str


@dataclasses.dataclass(frozen=True)
class EnrollResult:
    """Numbers of added and of already known examples, and the examples that were not added."""

    added: int
    known: int
    contradictions: tuple[Contradiction, ...]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A class with the distance to its nearest example and the source of that example.

    ``same`` is ``distance <= threshold`` of the model.
    """

    label: str
    distance: float
    source: str
    same: bool


class Gallery:
    """Labelled examples with their embeddings, and the raw examples for re-embedding.

    An object shows the gallery as of its creation or its last ``enroll``, ``remove`` or
    ``refresh``. Any number of processes and threads may read and change the same gallery.

    Use ``open`` or ``create_or_open`` to create an object.
    """

    def __init__(self, folder: Path, model: GalleryModel) -> None:
        self.folder = folder
        self._model = model
        self._refresh_lock = threading.Lock()
        self._snapshot = self._read_snapshot(None)

    @classmethod
    def open(cls, folder: Path, model: GalleryModel) -> "Gallery":
        """Open a gallery with the model that computed its embeddings.

        Raises:
          ModelError: If there is no gallery, it is damaged, or another model computed it.
        """
        return cls(folder, model)

    @classmethod
    def create_or_open(cls, folder: Path, model: GalleryModel) -> "Gallery":
        """Open a gallery, or create an empty one in a new or empty folder.

        Raises:
          ModelError: If the folder holds other files, the gallery is damaged, or another model
            computed it.
        """
        if not gallery_exists(folder):
            if not can_create_gallery(folder):
                raise ModelError(
                    f"{folder} holds files that are not a gallery. Pass a gallery, or a new or "
                    "empty folder."
                )
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise GalleryWriteError(f"{folder} cannot be created: {error.strerror}.") from error
            with lock_gallery(folder):
                if not gallery_exists(folder):
                    identity = ModelIdentity.from_manifest(model.manifest)
                    GalleryCatalog(embedder=identity).write(folder)
        return cls(folder, model)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._snapshot)

    @property
    def labels(self) -> dict[str, int]:
        """Number of examples per class, keyed by label."""
        snapshot = self._snapshot
        counts = np.bincount(snapshot.class_indices, minlength=len(snapshot.labels))
        return dict(zip(snapshot.labels, counts.tolist(), strict=True))

    def refresh(self) -> bool:
        """Read the changes of other processes; cheap if there are none.

        Returns:
          True if the gallery has changed.
        """
        with self._refresh_lock:  # otherwise an earlier read could replace a later one
            previous = self._snapshot
            self._snapshot = self._read_snapshot(previous)
            return self._snapshot is not previous

    def enroll(
        self,
        labels: Sequence[str],
        embeddings: np.ndarray,
        sources: Sequence[str],
        raw: np.ndarray,
    ) -> EnrollResult:
        """Add examples in a single change of the gallery.

        An example whose raw content is already enrolled with the same label is counted as known and
        not added. With another label, it is a contradiction and not added: remove that class first.

        Args:
          labels: n labels; they are normalized like the labels of the training data.
          embeddings: (n, size) embeddings computed by the model.
          sources: Human-readable origin of each example.
          raw: (n,) encoded images or (n, d) vectors, stored so that another model can embed them.

        Raises:
          DataError: If a label or source is empty or too long, or an embedding is not finite.
          GalleryWriteError: If the disk is full, for example.
          OtherModelError: If another process has re-embedded the gallery with another model.
        """
        labels = [normalize_text(label) for label in labels]
        _check_texts_of_examples(labels, sources)
        embeddings = self._check_embeddings(embeddings)
        digests = [compute_example_digest(example) for example in raw]
        with self._locked_catalog() as catalog:
            rows, result = self._find_new_rows(labels, sources, digests)
            if rows:
                examples = pa.table(
                    [
                        pa.array([labels[row] for row in rows], pa.large_string()),
                        pa.array([sources[row] for row in rows], pa.large_string()),
                        pa.array([digests[row] for row in rows], pa.binary(32)),
                        encode_vectors(embeddings[rows]),
                    ],
                    schema=gallery_examples_schema(embeddings.shape[1]),
                )
                raw_column = (
                    encode_vectors(raw[rows])
                    if self._model.manifest.inputs.kind == "vector"
                    else pa.array(raw[rows].tolist(), pa.large_binary())
                )
                raw_schema = gallery_raw_schema(catalog.embedder.inputs)
                raw_table = pa.table([raw_column], schema=raw_schema)
                self._commit(add_examples(self.folder, catalog, examples, raw_table))
        return result

    def remove(self, label: str) -> int:
        """Remove a class and everything stored of it.

        Returns:
          The number of removed examples.

        Raises:
          DataError: If the gallery has no such class.
        """
        with self._locked_catalog() as catalog:
            # A gallery of an older version may hold a label that is not normalized.
            label = label if label in self.labels else normalize_text(label)
            num_examples = self.labels.get(label, 0)
            if not num_examples:
                raise DataError(
                    f"The gallery {self.folder} has no class {label!r} to remove. It has "
                    f"{len(self.labels)} classes: {format_names(list(self.labels), 5)}."
                )
            self._commit(remove_label(self.folder, catalog, label))
        return num_examples

    def identify(self, embeddings: np.ndarray, k: int = 5) -> list[list[Candidate]]:
        """Find the k nearest classes of each of (n, size) embeddings, nearest first.

        The distance to a class is the model's distance to the nearest example of the class. If the
        first candidate is not ``same``, the class is unknown.
        """
        snapshot = self._snapshot
        # float32, as in the exported signature
        threshold = float(np.float32(self._model.manifest.threshold))
        nearest = snapshot.nearest_classes.search(self._check_embeddings(embeddings), k)
        return [
            [
                Candidate(
                    label=snapshot.labels[snapshot.class_indices[row]],
                    distance=distance,
                    source=snapshot.source_of(row),
                    same=distance <= threshold,
                )
                for row, distance in zip(rows, distances, strict=True)
                if row >= 0
            ]
            for rows, distances in zip(
                nearest.rows.tolist(), nearest.distances.tolist(), strict=True
            )
        ]

    @classmethod
    def re_embed(
        cls,
        folder: Path,
        model: PushedModel,
        on_batch: Callable[[int], None] = lambda num_examples: None,
    ) -> "Gallery":
        """Embed all raw examples of a gallery with another model, and open it with that model.

        Readers see the previous gallery until the end; other writers wait.

        Args:
          folder: Folder of the gallery.
          model: A model with the same raw inputs as the previous one.
          on_batch: Called with the number of examples after each batch.

        Raises:
          ModelError: If there is no gallery, it is damaged, or the model has other raw inputs.
        """

        def embed(raw: np.ndarray) -> np.ndarray:
            _check_stored_images(folder, raw, model)
            embeddings = check_comparable(model.embed(raw))
            on_batch(len(raw))
            return embeddings

        GalleryCatalog.read(folder)  # without a gallery, write nothing, not even a lock file
        with lock_gallery(folder):
            catalog = GalleryCatalog.read(folder)
            new = ModelIdentity.from_manifest(model.manifest)
            _check_same_inputs(folder, catalog.embedder, new)
            if new.digest != catalog.embedder.digest:
                changed = replace_embeddings(folder, catalog, new, embed)
                changed.write(folder)
                delete_unlisted_files(folder, changed)
        return cls(folder, model)

    def _read_snapshot(self, previous: GallerySnapshot | None) -> GallerySnapshot:
        """Read the current gallery, or return the previous snapshot if nothing has changed."""
        missing = ""
        for _ in range(_READ_ATTEMPTS):
            catalog = GalleryCatalog.read(self.folder)
            _check_same_model(self.folder, catalog.embedder, self._model)
            if previous is not None and previous.catalog == catalog:
                return previous
            try:
                return load_snapshot(self.folder, catalog, self._model.distance, previous)
            except FileNotFoundError as error:  # deleted by a change since the catalog was read
                missing = error.filename
        raise ModelError(
            f"{missing} is missing: the gallery is damaged. Restore it from a copy, or enroll "
            "into a new folder."
        )

    @contextlib.contextmanager
    def _locked_catalog(self) -> Iterator[GalleryCatalog]:
        """Hold the write lock and yield the current catalog."""
        with lock_gallery(self.folder):
            self.refresh()
            yield self._snapshot.catalog

    def _commit(self, catalog: GalleryCatalog) -> None:
        catalog.write(self.folder)
        delete_unlisted_files(self.folder, catalog)
        self.refresh()

    def _check_embeddings(self, embeddings: np.ndarray) -> np.ndarray:
        size = self._model.manifest.embedding_size
        if embeddings.ndim != 2 or embeddings.shape[1] != size:
            raise DataError(
                f"The embeddings have the shape {embeddings.shape}, expected (n, {size}). Compute "
                "them with the model of the gallery."
            )
        return check_comparable(np.asarray(embeddings, np.float32))

    def _find_new_rows(
        self, labels: Sequence[str], sources: Sequence[str], digests: Sequence[bytes]
    ) -> tuple[list[int], EnrollResult]:
        known_as = self._snapshot.labels_by_digest(digests)
        new_rows: list[int] = []
        contradictions: list[Contradiction] = []
        for row, (label, digest) in enumerate(zip(labels, digests, strict=True)):
            if digest not in known_as:
                known_as[digest] = label
                new_rows.append(row)
            elif known_as[digest] != label:
                contradictions.append(Contradiction(sources[row], label, known_as[digest]))
        num_known = len(labels) - len(new_rows) - len(contradictions)
        return new_rows, EnrollResult(len(new_rows), num_known, tuple(contradictions))


def _check_same_model(folder: Path, identity: ModelIdentity, model: GalleryModel) -> None:
    new = ModelIdentity.from_manifest(model.manifest)
    if identity.digest != new.digest:
        sibling = model.folder.parent / str(identity.version)
        option = f"--model {sibling}" if is_saved_model(sibling) else "--model"
        raise OtherModelError(
            f"The gallery {folder} holds embeddings of {identity.name} version {identity.version}, "
            f"but the model in {model.folder} is {new.name} version {new.version}: distances "
            "between embeddings of different models are meaningless. Either use version "
            f"{identity.version} ({option}), or re-embed the gallery: "
            "diptych enroll GALLERY --re-embed"
        )


def _check_same_inputs(folder: Path, old: ModelIdentity, new: ModelIdentity) -> None:
    if old.inputs.kind != new.inputs.kind or old.inputs.columns != new.inputs.columns:
        raise ModelError(
            f"The gallery {folder} stores raw examples of {old.name} version {old.version} "
            f"({_describe_inputs(old)}), but {new.name} version {new.version} takes "
            f"{_describe_inputs(new)}. Enroll into a new folder."
        )


def _check_stored_images(folder: Path, raw: np.ndarray, model: PushedModel) -> None:
    """Check images again before decoding: another program may have written the file."""
    if model.manifest.inputs.kind != "image":
        return
    limits = limits_of_model(model.manifest)
    for image in raw:
        prepared = prepare_image(image, limits)
        if isinstance(prepared, str):
            raise DataError(
                f"An image stored in the gallery {folder} cannot be re-embedded: {prepared}. The "
                "gallery is unchanged. Remove the class with --remove, using the previous model."
            )


def _describe_inputs(identity: ModelIdentity) -> str:
    if identity.inputs.kind == "image":
        return "images"
    return f"columns {format_names([column.name for column in identity.inputs.columns], 5)}"


def _check_texts_of_examples(labels: Sequence[str], sources: Sequence[str]) -> None:
    for text, name, limit in (
        *((label, "label", _MAX_LABEL_BYTES) for label in labels),
        *((source, "source", _MAX_SOURCE_BYTES) for source in sources),
    ):
        length = len(text.encode(errors="surrogatepass"))
        if not 1 <= length <= limit or not _is_valid_utf8(text):
            raise DataError(
                f"A {name} needs 1 to {limit} bytes of UTF-8, and {text[:50]!r} has {length}. "
                "Correct it, and enroll again."
            )


def _is_valid_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
