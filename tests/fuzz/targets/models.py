"""JSON files of a pushed version: the manifest, and the model card."""

import json

import numpy as np

from diptych.inference.gallery_files import ModelIdentity
from diptych.inference.raw_examples import read_examples
from diptych.inference.raw_images import limits_of_model
from diptych.schemas.errors import DiptychError, ModelError
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.model_card import ModelCard
from diptych.serving.page import render_page
from diptych.serving.predict_protocol import format_model_metadata
from diptych.serving.request_limits import RequestLimits

from .scratch import check_message, folder_of_input

TOKENS = (b'"inputs"', b'"columns"', b'"width"', b'"threshold"', b"NaN", b"-1", b"1e400", b"null")
TOKENS += (b'"configuration"', b'"data"', b'"max_bytes"', b'"max_pixels"', b'"files"', b"{}", b"[]")
_TABLE = "a,b,species\n1,2,wren\n3,4,robin\n"


def check(data):
    """Refusals: ``ModelError`` of both readers."""
    with folder_of_input() as folder:
        (folder / "assets.extra").mkdir()
        _check_files(folder, data)


def _check_files(folder, data):
    for name, read, use in (
        ("manifest.json", ModelManifest.read, _use_manifest),
        ("diptych.json", ModelCard.read, _use_card),
    ):
        (folder / "assets.extra" / name).write_bytes(data)
        try:
            content = read(folder)
        except ModelError as error:
            check_message(str(error))
            continue
        content.write(folder)
        again = read(folder)  # NaN is null in both
        assert json.loads(again.model_dump_json()) == json.loads(content.model_dump_json())
        use(content, folder)


def _use_manifest(manifest, folder):
    try:
        manifest.verify(folder)
    except ModelError as error:
        check_message(str(error))
    ModelIdentity.from_manifest(manifest)
    limits = limits_of_model(manifest)
    RequestLimits.for_model(manifest.inputs, manifest.embedding_size, limits.max_bytes)
    json.dumps(format_model_metadata(manifest), allow_nan=False).encode()
    render_page(manifest, has_gallery=False)[0].encode()
    assert np.isfinite(np.float32(manifest.threshold))
    table = folder / "birds.csv"
    table.write_text(_TABLE)
    try:
        for batch in read_examples(table, manifest):
            assert batch.values.shape == (len(batch.sources), manifest.inputs.shape.shape[0])
    except DiptychError as error:
        check_message(str(error))


def _use_card(card, folder):
    assert card.accepts_inputs(card.inputs)
    assert all(side >= 0 for side in card.inputs.shape.shape)
    assert np.isfinite(np.float32(card.threshold))
