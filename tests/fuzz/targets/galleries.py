"""Galleries: the catalogue, or the Arrow files that it lists."""

import functools

import numpy as np

from diptych.inference.gallery_files import (
    GalleryCatalog,
    GalleryFile,
    gallery_examples_schema,
    gallery_raw_schema,
    read_gallery_file,
)
from diptych.inference.gallery_snapshot import GallerySnapshot
from diptych.schemas.errors import DataError, ModelError
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.manifest import compute_digest

from .scratch import check_message, folder_of_input

TOKENS = (b'"format"', b'"embedder"', b'"parts"', b'"next_number"', b'"inputs"', b"ARROW1")
_ROWS = 2  # of the Arrow files in the corpus


def check(data):
    """Refusals: ``ModelError``, and ``DataError`` for embeddings that cannot be compared.

    Input that starts like JSON is a catalogue; anything else is an Arrow file, listed with its
    digest.
    """
    is_catalog = data.lstrip()[:1] in (b"", b"{", b"[")
    with folder_of_input() as folder:
        try:
            (_check_catalog if is_catalog else _check_arrow_file)(folder, data)
        except (ModelError, DataError) as error:
            check_message(str(error))


def _check_catalog(folder, data):
    (folder / "gallery.json").write_bytes(data)
    catalog = GalleryCatalog.read(folder)
    catalog.write(folder)
    assert GalleryCatalog.read(folder) == catalog
    inputs = catalog.embedder.inputs
    gallery_raw_schema(inputs)
    empty = gallery_examples_schema(catalog.embedder.embedding_size).empty_table()
    snapshot = GallerySnapshot(catalog, {}, _distance)
    assert len(snapshot) == len(empty) == 0


def _check_arrow_file(folder, data):
    path = folder / "examples-00000000.arrow"
    path.write_bytes(data)
    file = GalleryFile(name=path.name, **compute_digest(path).model_dump())
    for inputs in _inputs():
        try:
            raw = read_gallery_file(folder, file, gallery_raw_schema(inputs), _ROWS)
        except ModelError as error:
            check_message(str(error))
        else:
            assert len(raw["raw"].to_pylist()) == _ROWS
    table = read_gallery_file(folder, file, gallery_examples_schema(2), _ROWS)
    snapshot = GallerySnapshot(_catalog(), {"part": table}, _distance)
    assert len(snapshot) == len(table.to_pylist()) == _ROWS
    assert {snapshot.labels[index] for index in snapshot.class_indices} == set(snapshot.labels)
    snapshot.labels_by_digest([bytes(32)])
    found = snapshot.nearest_classes.search(np.zeros((1, 2), np.float32), 2)
    assert {snapshot.source_of(row) for row in found.rows[0].tolist() if row >= 0}
    assert np.isfinite(found.distances[found.rows >= 0]).all()


def _distance(left, right):
    return np.linalg.norm(left - right, axis=1)


@functools.cache
def _inputs():
    columns = (Column(name="a", width=2),)
    image = InputSpec(kind="image", size=(8, 8), channels=1)
    return image, InputSpec(kind="vector", columns=columns)


@functools.cache
def _catalog():
    identity = {
        "name": "birds",
        "version": 1,
        "digest": "0",
        "inputs": _inputs()[1],
        "distance": "euclidean",
        "embedding_size": 2,
    }
    return GalleryCatalog.model_validate({"embedder": identity})
