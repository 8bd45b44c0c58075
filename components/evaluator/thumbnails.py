"""Thumbnails of raw examples."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from diptych.components.common.images import decode_image
from diptych.components.evaluator.colour_map import apply_colour_map
from diptych.components.evaluator.raw_examples import iter_raw_examples_by_id
from diptych.schemas.input_spec import InputSpec

_MAX_SIDE_PX = 64
_STRIP_WIDTH_PX = 16  # of a vector's strip


def render_thumbnails(
    files: list[str], inputs: InputSpec, ids: npt.NDArray[np.uint8]
) -> list[bytes]:
    """Render PNG thumbnails of at most 64 x 64 pixels.

    Images are decoded as for the model and keep their aspect ratio. A vector is a vertical strip
    with its first number on top: red for positive numbers, blue for negative ones, white for 0. The
    colour scale of each number is its largest absolute value among all vectors.

    Args:
      files: TFRecord files of raw examples.
      inputs: Features of a raw example.
      ids: (n, 16) ids of the examples, distinct and sorted.

    Raises:
      DataError: If an id is missing from the raw examples.
    """
    if inputs.kind == "image":
        thumbnails = [b""] * len(ids)
        for rows, raw in iter_raw_examples_by_id(files, inputs, ids):
            for row, encoded in zip(rows.tolist(), raw, strict=True):
                pixels = decode_image(
                    encoded, inputs.channels, background=inputs.background
                ).numpy()
                thumbnails[row] = _shrink_image(pixels)
        return thumbnails
    vectors = np.zeros((len(ids), *inputs.shape.shape), np.float32)
    for rows, raw in iter_raw_examples_by_id(files, inputs, ids):
        vectors[rows] = raw
    max_abs = np.abs(vectors).max(axis=0)
    strips = apply_colour_map(vectors, max_abs)[:, :, None]
    return [_resize_strip(strip) for strip in strips]


def _resize_strip(strip: npt.NDArray[np.uint8]) -> bytes:
    is_enlarged = len(strip) < _MAX_SIDE_PX
    resampling = Image.Resampling.NEAREST if is_enlarged else Image.Resampling.BOX
    size = (_STRIP_WIDTH_PX, _MAX_SIDE_PX)
    return _encode_thumbnail(Image.fromarray(strip).resize(size, resampling))


def _shrink_image(pixels: npt.NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((_MAX_SIDE_PX, _MAX_SIDE_PX), Image.Resampling.BOX)
    return _encode_thumbnail(image)


def _encode_thumbnail(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
