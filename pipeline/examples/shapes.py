"""Draws triangles, circles and rectangles in red, green and blue; the label is the colour.

20 pictures a colour of each kind: triangles and circles, half and half, in FOLDER/known, and
rectangles, which nothing is to be trained on, in FOLDER/unseen. Size, place, rotation, the shade
of the colour and that of the grey behind it are drawn anew for each, from one seed.

    python pipeline/examples/shapes.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from diptych.schemas.files import atomic_folder

_EACH = 20  # pictures of a colour
_SIDE = 28  # pixels
_FINE = 8  # drawn so much larger, and scaled down: smooth edges
_COLOURS = {"red": 0, "green": 1, "blue": 2}  # the channel that is bright


def main(folder: Path) -> None:
    """Writes the folder beside, and renames it; one that is there already is kept."""
    if folder.exists():
        print(f"{folder} is there already.")
        return
    with atomic_folder(folder) as beside:
        generator = np.random.default_rng(0)
        for part, shapes in (("known", ("triangle", "circle")), ("unseen", ("rectangle",))):
            for colour, channel in _COLOURS.items():
                (beside / part / colour).mkdir(parents=True)
                for number in range(_EACH):
                    shape = shapes[number % len(shapes)]
                    image = _draw(generator, shape, channel)
                    image.save(beside / part / colour / f"{shape}_{number:02d}.png")
    print(f"Wrote {2 * _EACH * len(_COLOURS)} pictures of {len(_COLOURS)} colours to {folder}.")


def _draw(generator: np.random.Generator, shape: str, channel: int) -> Image.Image:
    """One picture; the shape lies wholly inside."""
    side = _SIDE * _FINE
    radius = generator.uniform(0.15, 0.45) * side  # of the circle around the shape
    centre = generator.uniform(radius, side - radius, 2)
    colour = generator.integers(0, 80, 3)
    colour[channel] = generator.integers(160, 256)
    grey = int(generator.integers(0, 256))
    image = Image.new("RGB", (side, side), (grey, grey, grey))
    ImageDraw.Draw(image).polygon(
        [tuple(corner) for corner in (centre + radius * _outline(generator, shape)).tolist()],
        fill=tuple(colour.tolist()),
    )
    return image.resize((_SIDE, _SIDE), Image.Resampling.BOX)


def _outline(generator: np.random.Generator, shape: str) -> np.ndarray:
    """(corners, 2) on the unit circle, turned by any angle."""
    if shape == "rectangle":
        half = generator.uniform(0.2, 0.8)  # of the angle between its diagonals, in radians
        angles = np.array([half, np.pi - half, np.pi + half, -half])
    else:
        corners = {"triangle": 3, "circle": 90}[shape]
        angles = np.arange(corners) * 2 * np.pi / corners
    angles = angles + generator.uniform(0, 2 * np.pi)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
