"""Galleries: labelled examples by which a pushed model knows classes that it was not trained on."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from diptych.components.common.images import find_fault
from diptych.inference import gallery_changes as changes
from diptych.inference.gallery_content import Content, content_digest, load, usable
from diptych.inference.gallery_files import (
    Catalog,
    Embedder,
    examples_schema,
    exists,
    floats_to_arrow,
    is_free,
    locked,
    raw_schema,
    tidy,
)
from diptych.inference.pushed_model import PushedModel
from diptych.inference.raw_images import bounds_of
from diptych.schemas.errors import DataError, ModelError
from diptych.schemas.versions import is_model

_MAX_LABEL_BYTES = 1_000
_MAX_SOURCE_BYTES = 10_000
_READS = 5


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """An example that is in the gallery already, under another label."""

    source: str
    label: str
    known_as: str


@dataclasses.dataclass(frozen=True)
class Enrolled:
    """What became of examples: so many added, so many known already, and those not added."""

    added: int
    known: int
    contradictions: tuple[Contradiction, ...]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A class and the distance to its nearest example, which came from ``source``.

    ``same`` says whether that is at most the model's threshold.
    """

    label: str
    distance: float
    source: str
    same: bool


class Gallery:
    """Labelled examples with their embeddings and, to embed them anew, the raw examples.

    An object sees the gallery as it was when opened, or at its last ``enroll``, ``remove`` or
    ``refresh``. Any number of processes and threads may read and write one gallery.
    """

    def __init__(self, folder: Path, model: PushedModel) -> None:
        """Use ``open`` or ``create_or_open``."""
        self.folder = folder
        self._model = model
        self._refreshing = threading.Lock()
        self._content = self._read(None)

    @classmethod
    def open(cls, folder: Path, model: PushedModel) -> "Gallery":
        """Opens a gallery for the model that made its embeddings.

        Raises:
          ModelError: there is none, it is damaged, or it was made by another model.
        """
        return cls(folder, model)

    @classmethod
    def create_or_open(cls, folder: Path, model: PushedModel) -> "Gallery":
        """The same; a folder that is empty or not there becomes a gallery without examples.

        Raises:
          ModelError: it holds other files, it is damaged, or it was made by another model.
        """
        if not exists(folder):
            if not is_free(folder):
                raise ModelError(
                    f"Needed is a gallery, or a new or an empty folder to make one in: {folder} "
                    "holds something else. Name another folder."
                )
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ModelError(f"{folder} cannot be made: {error.strerror}.") from error
            with locked(folder):
                if not exists(folder):
                    Catalog(embedder=Embedder.of(model.manifest)).write(folder)
        return cls(folder, model)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._content)

    @property
    def labels(self) -> dict[str, int]:
        """Number of examples of each class, by label."""
        content = self._content
        counts = np.bincount(content.classes, minlength=len(content.labels))
        return dict(zip(content.labels, counts.tolist(), strict=True))

    def refresh(self) -> bool:
        """Takes in what other processes have changed; costs little where they have not.

        Returns:
          Whether there was something.
        """
        with self._refreshing:  # a thread that read earlier must not have the last word
            before = self._content
            self._content = self._read(before)
            return self._content is not before

    def enroll(
        self,
        labels: Sequence[str],
        embeddings: np.ndarray,
        sources: Sequence[str],
        raw: np.ndarray,
    ) -> Enrolled:
        """Adds examples, all in one change of the gallery.

        One whose raw content is there already under its label is known, and adds nothing. Under
        another label it is a contradiction, and is not added: remove that class first.

        Args:
          labels: n of them.
          embeddings: (n, size) of the model.
          sources: where each came from, for people to read.
          raw: (n,) encoded images or (n, d) vectors; kept, so that another model can embed them.

        Raises:
          DataError: a label or source is empty or too long, or an embedding has no usable numbers.
          ModelError: another process has embedded the gallery anew by another model.
        """
        _check_texts(labels, sources)
        embeddings = self._checked(embeddings)
        digests = [content_digest(one) for one in raw]
        with self._changing() as catalog:
            rows, enrolled = self._new_rows(labels, sources, digests)
            if rows:
                examples = pa.table(
                    [
                        pa.array([labels[row] for row in rows], pa.large_string()),
                        pa.array([sources[row] for row in rows], pa.large_string()),
                        pa.array([digests[row] for row in rows], pa.binary(32)),
                        floats_to_arrow(embeddings[rows]),
                    ],
                    schema=examples_schema(embeddings.shape[1]),
                )
                kept = raw_schema(catalog.embedder.inputs)
                column = (
                    floats_to_arrow(raw[rows])
                    if self._model.inputs.kind == "vector"
                    else pa.array(raw[rows].tolist(), pa.large_binary())
                )
                table = pa.table([column], schema=kept)
                self._commit(changes.with_examples(self.folder, catalog, examples, table))
        return enrolled

    def remove(self, label: str) -> int:
        """Removes a class with all that is kept of it.

        Returns:
          The number of its examples.

        Raises:
          DataError: there is no such class.
        """
        with self._changing() as catalog:
            number = self.labels.get(label, 0)
            if not number:
                raise DataError(
                    f"The gallery {self.folder} has no class {label!r} to remove. It has "
                    f"{len(self.labels)} classes: {_some(list(self.labels))}."
                )
            self._commit(changes.without_label(self.folder, catalog, label))
        return number

    def identify(self, embeddings: np.ndarray, k: int = 5) -> list[list[Candidate]]:
        """The k nearest classes of each of (n, size) embeddings, the nearest first.

        The distance of a class is that to its nearest example, as the model measures it. Where
        the first candidate is not ``same``, the class is unknown.
        """
        content = self._content
        threshold = float(np.float32(self._model.threshold))  # as the model's signatures compare
        nearest = content.nearest.search(self._checked(embeddings), k)
        return [
            [
                Candidate(
                    label=content.labels[content.classes[row]],
                    distance=distance,
                    source=content.source(row),
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
        cls, folder: Path, model: PushedModel, progress: Callable[[int], None] = lambda _: None
    ) -> "Gallery":
        """Embeds all raw examples of a gallery by another model, and opens it for that.

        Others read the gallery of before meanwhile; what wants to change it waits.

        Args:
          folder: of the gallery.
          model: takes the same raw examples as the one before.
          progress: is given the number of examples that are done, block by block.

        Raises:
          ModelError: there is no gallery, it is damaged, or the model takes other raw examples.
        """

        def embed(raw: np.ndarray) -> np.ndarray:
            _check_raw(folder, raw, model)
            embeddings = usable(model.embed(raw))
            progress(len(raw))
            return embeddings

        Catalog.read(folder)  # where there is none, nothing is written, not even a lock
        with locked(folder):
            catalog = Catalog.read(folder)
            new = Embedder.of(model.manifest)
            _check_inputs(folder, catalog.embedder, new)
            if new.digest != catalog.embedder.digest:
                changed = changes.embedded_anew(folder, catalog, new, embed)
                changed.write(folder)
                tidy(folder, changed)
        return cls(folder, model)

    def _read(self, before: Content | None) -> Content:
        """The gallery as it is now; what was read before if it is the same."""
        missing = ""
        for _ in range(_READS):
            catalog = Catalog.read(self.folder)
            _check_model(self.folder, catalog.embedder, self._model)
            if before is not None and before.catalog == catalog:
                return before
            try:
                return load(self.folder, catalog, self._model.distance, before)
            except FileNotFoundError as error:  # removed by a change since the catalog was read
                missing = error.filename
        raise ModelError(
            f"{missing} is missing: the gallery is damaged. Restore it from a copy, or enroll "
            "into a new folder."
        )

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Catalog]:
        """The gallery as it is now, which nobody else changes meanwhile."""
        with locked(self.folder):
            self.refresh()
            yield self._content.catalog

    def _commit(self, catalog: Catalog) -> None:
        catalog.write(self.folder)
        tidy(self.folder, catalog)
        self.refresh()

    def _checked(self, embeddings: np.ndarray) -> np.ndarray:
        size = self._model.manifest.embedding_size
        if embeddings.ndim != 2 or embeddings.shape[1] != size:
            raise DataError(
                f"Embeddings of the model have the shape (n, {size}), and these have "
                f"{embeddings.shape}. Make them with the model of the gallery."
            )
        return usable(np.asarray(embeddings, np.float32))

    def _new_rows(
        self, labels: Sequence[str], sources: Sequence[str], digests: Sequence[bytes]
    ) -> tuple[list[int], Enrolled]:
        """Which of some examples are new, and what is to be said of all."""
        known_as = self._content.labels_of(digests)
        rows: list[int] = []
        contradictions: list[Contradiction] = []
        for row, (label, digest) in enumerate(zip(labels, digests, strict=True)):
            if digest not in known_as:
                known_as[digest] = label
                rows.append(row)
            elif known_as[digest] != label:
                contradictions.append(Contradiction(sources[row], label, known_as[digest]))
        known = len(labels) - len(rows) - len(contradictions)
        return rows, Enrolled(len(rows), known, tuple(contradictions))


def _check_model(folder: Path, embedder: Embedder, model: PushedModel) -> None:
    new = Embedder.of(model.manifest)
    if embedder.digest != new.digest:
        beside = model.folder.parent / str(embedder.version)
        where = f"--model {beside}" if is_model(beside) else "--model"
        raise ModelError(
            f"The gallery {folder} holds embeddings of {embedder.name} version {embedder.version}, "
            f"and the model in {model.folder} is {new.name} version {new.version}: between two "
            f"models distances mean nothing. Either use version {embedder.version} ({where}), or "
            "embed the gallery anew: diptych enroll GALLERY --re-embed"
        )


def _check_inputs(folder: Path, old: Embedder, new: Embedder) -> None:
    if old.inputs.kind != new.inputs.kind or old.inputs.columns != new.inputs.columns:
        raise ModelError(
            f"The gallery {folder} keeps examples as {old.name} version {old.version} takes them "
            f"({_in_words(old)}), and {new.name} version {new.version} takes others "
            f"({_in_words(new)}). Enroll into a new folder."
        )


def _check_raw(folder: Path, raw: np.ndarray, model: PushedModel) -> None:
    """What is in a file was checked when it was enrolled, but who knows by whom."""
    if model.inputs.kind != "image":
        return
    bounds = bounds_of(model.manifest)
    for image in raw:
        fault = find_fault(image, bounds.max_bytes, bounds.max_pixels)
        if fault is not None:
            raise DataError(
                f"An image kept in the gallery {folder} cannot be embedded anew: {fault}. The "
                "gallery is as it was; remove the class with --remove, by the model of before."
            )


def _in_words(embedder: Embedder) -> str:
    if embedder.inputs.kind == "image":
        return "images"
    return f"columns {_some([column.name for column in embedder.inputs.columns])}"


def _check_texts(labels: Sequence[str], sources: Sequence[str]) -> None:
    for text, what, limit in (
        *((label, "label", _MAX_LABEL_BYTES) for label in labels),
        *((source, "source", _MAX_SOURCE_BYTES) for source in sources),
    ):
        length = len(text.encode(errors="surrogatepass"))
        if not 1 <= length <= limit or not _is_utf8(text):
            raise DataError(
                f"A {what} needs 1 to {limit} bytes of UTF-8, and {text[:50]!r} has {length}. "
                "Correct it, and enroll again."
            )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (" ..." if len(names) > 5 else "")
