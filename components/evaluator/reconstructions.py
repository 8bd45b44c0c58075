"""An image of examples and their reconstructions by the decoder."""

from pathlib import Path

import numpy as np
from PIL import Image

from diptych.components.evaluator.colour_map import apply_colour_map
from diptych.schemas.files import atomic_write

MAX_RECONSTRUCTIONS = 16
_SIDE_PX = 128  # longer side of an image, and height of a vector's strip
_STRIP_WIDTH_PX = 32
_GAP_PX = 4


def write_reconstructions(folder: Path, x: np.ndarray, reconstructed: np.ndarray) -> Path:
    """Write ``reconstructions.png``: the first 16 examples above their reconstructions.

    A vector is a vertical strip with its first number on top: red for positive numbers, blue for
    negative ones, white for 0. All strips have the same colour scale.

    Args:
      folder: Existing folder to write to.
      x: (n, height, width, channels) pixels in [0, 1], or (n, d) vectors; n >= 1.
      reconstructed: Reconstructions, of the same shape.

    Returns:
      Path of the image.
    """
    x, reconstructed = x[:MAX_RECONSTRUCTIONS], reconstructed[:MAX_RECONSTRUCTIONS]
    if x.ndim == 4:
        tiles = (255 * np.stack([x, reconstructed])).round().clip(0, 255).astype(np.uint8)
        tiles = np.broadcast_to(tiles, (*tiles.shape[:-1], 3))  # one channel becomes grey
        size = np.array([x.shape[2], x.shape[1]]) * _SIDE_PX // max(x.shape[1:3])
        width, height = np.maximum(size, 1).tolist()
    else:
        vectors = np.stack([x, reconstructed])
        tiles = apply_colour_map(vectors, np.abs(vectors).max())[:, :, :, None]
        width, height = _STRIP_WIDTH_PX, _SIDE_PX
    count = tiles.shape[1]
    total_size = (count * (width + _GAP_PX) + _GAP_PX, 2 * (height + _GAP_PX) + _GAP_PX)
    image = Image.new("RGB", total_size, "white")
    for row, column in np.ndindex(2, count):
        tile = Image.fromarray(np.ascontiguousarray(tiles[row, column]))
        is_enlarged = height > tile.height
        resampling = Image.Resampling.NEAREST if is_enlarged else Image.Resampling.BOX
        corner = (_GAP_PX + column * (width + _GAP_PX), _GAP_PX + row * (height + _GAP_PX))
        image.paste(tile.resize((width, height), resampling), corner)
    path = folder / "reconstructions.png"
    with atomic_write(path) as tmp_path:
        image.save(tmp_path, format="PNG")
    return path
