"""Small pictures of examples."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from diptych.components.common.images import decode_image
from diptych.components.evaluator.colours import colours
from diptych.components.evaluator.raw_examples import raw_examples_of
from diptych.schemas.input_spec import Inputs

_SIDE = 64  # pixels, at most
_STRIP = 16  # pixels of the width of a vector's strip


def pictures_of(files: list[str], inputs: Inputs, ids: npt.NDArray[np.uint8]) -> list[bytes]:
    """PNG pictures of at most 64 x 64 pixels, of examples by their ids.

    Images are as the model decodes them, in their own proportions. A vector is a strip, its first
    number on top: red above 0, blue below, white is 0, as deep as the number is large among those
    of its column.

    Args:
      files: TFRecords of raw examples.
      inputs: what a raw example holds.
      ids: (n, 16), each once, ordered.

    Raises:
      DataError: an id is not among the raw examples.
    """
    if inputs.kind == "image":
        pictures = [b""] * len(ids)
        for places, raw in raw_examples_of(files, inputs, ids):
            for place, encoded in zip(places.tolist(), raw, strict=True):
                pictures[place] = _thumbnail(decode_image(encoded, inputs.channels).numpy())
        return pictures
    vectors = np.zeros((len(ids), *inputs.shape.shape), np.float32)
    for places, raw in raw_examples_of(files, inputs, ids):
        vectors[places] = raw
    highest = np.abs(vectors).max(axis=0)
    tiles = colours(vectors, highest)[:, :, None]
    return [_png(Image.fromarray(tile).resize((_STRIP, _SIDE), _scaling(tile))) for tile in tiles]


def _scaling(tile: npt.NDArray[np.uint8]) -> Image.Resampling:
    return Image.Resampling.NEAREST if len(tile) < _SIDE else Image.Resampling.BOX


def _thumbnail(pixels: npt.NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    return _png(image)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()
