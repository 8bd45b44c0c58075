"""A picture of examples above what the decoder makes of their embeddings."""

from pathlib import Path

import numpy as np
from PIL import Image

from diptych.components.evaluator.colours import colours
from diptych.schemas.files import whole_file

EXAMPLES_SHOWN = 16
_SIDE = 128  # pixels of the longer side of an image, and the length of a vector's strip
_STRIP = 32  # pixels of its width
_GAP = 4
_NEAREST, _MEAN = Image.Resampling.NEAREST, Image.Resampling.BOX


def write_reconstructions(folder: Path, x: np.ndarray, reconstructed: np.ndarray) -> Path:
    """Writes ``reconstructions.png``: the first 16 examples, and each one's reconstruction below.

    A vector is a strip, its first number on top: red above 0, blue below, the deeper the further
    from 0; white is 0. All strips have one scale.

    Args:
      folder: to write to; exists.
      x: (n, height, width, channels) pixels in [0, 1], or (n, d) vectors; n >= 1.
      reconstructed: of the same shape.

    Returns:
      The path of the picture.
    """
    x, reconstructed = x[:EXAMPLES_SHOWN], reconstructed[:EXAMPLES_SHOWN]
    if x.ndim == 4:
        tiles = (255 * np.stack([x, reconstructed])).round().clip(0, 255).astype(np.uint8)
        tiles = np.broadcast_to(tiles, (*tiles.shape[:-1], 3))  # of one channel: grey
        size = np.array([x.shape[2], x.shape[1]]) * _SIDE // max(x.shape[1:3])
        width, height = np.maximum(size, 1).tolist()
    else:
        both = np.stack([x, reconstructed])
        tiles = colours(both, np.abs(both).max())[:, :, :, None]
        width, height = _STRIP, _SIDE
    count = tiles.shape[1]
    picture = Image.new("RGB", (count * (width + _GAP) + _GAP, 2 * (height + _GAP) + _GAP), "white")
    for row, column in np.ndindex(2, count):
        tile = Image.fromarray(np.ascontiguousarray(tiles[row, column]))
        enlarged = height > tile.height
        tile = tile.resize((width, height), _NEAREST if enlarged else _MEAN)
        picture.paste(tile, (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP)))
    path = folder / "reconstructions.png"
    with whole_file(path) as beside:
        picture.save(beside, format="PNG")
    return path
